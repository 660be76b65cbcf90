//! The credential scope of a signed request: access key, Region, service.

use http::{HeaderMap, Uri, header::AUTHORIZATION};

/// The parts of `<access key>/<date>/<region>/<service>/aws4_request`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) access_key: String,
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Scope {
    /// Reads the scope from the `Authorization` header, or from the query of a presigned URL.
    pub(crate) fn read(headers: &HeaderMap, uri: &Uri) -> Option<Self> {
        let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        if let Some(scope) = header.and_then(credential).and_then(Self::parse) {
            return Some(scope);
        }
        form_urlencoded::parse(uri.query()?.as_bytes())
            .find(|(name, _)| name == "X-Amz-Credential")
            .and_then(|(_, value)| Self::parse(&value))
    }

    fn parse(credential: &str) -> Option<Self> {
        let parts: Vec<&str> = credential.split('/').collect();
        let [access_key, _date, region, service, "aws4_request"] = parts[..] else {
            return None;
        };
        Some(Self {
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }
}

/// An `Authorization` header for the front door's own calls; the signature of an account's own key is not checked.
pub(crate) fn authorization(access_key: &str, region: &str, service: &str) -> String {
    let date = crate::clock::now().strftime("%Y%m%d");
    format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{date}/{region}/{service}/aws4_request, \
         SignedHeaders=host, Signature=local"
    )
}

/// Accepts 12 digits.
pub(crate) fn account_id(text: &str) -> Result<String, String> {
    if is_account_id(text) {
        Ok(text.to_owned())
    } else {
        Err("an account id has 12 digits".to_owned())
    }
}

/// Whether `text` is 12 digits.
pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn credential(authorization: &str) -> Option<&str> {
    let (_, rest) = authorization.split_once("Credential=")?;
    rest.split([',', ' ']).next()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let value = HeaderValue::from_str(authorization).unwrap();
        HeaderMap::from_iter([(AUTHORIZATION, value)])
    }

    #[test]
    fn a_signed_header_names_key_region_and_service() {
        let headers = headers(&authorization("111122223333", "eu-west-1", "sqs"));
        let scope = Scope::read(&headers, &Uri::from_static("/")).unwrap();
        assert_eq!(scope.access_key, "111122223333");
        assert_eq!(scope.region, "eu-west-1");
        assert_eq!(scope.service, "sqs");
    }

    #[test]
    fn a_presigned_url_names_key_region_and_service() {
        let uri = Uri::from_static(
            "/bucket/key?X-Amz-Credential=test%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Expires=60",
        );
        assert_eq!(Scope::read(&HeaderMap::new(), &uri).unwrap().service, "s3");
    }

    #[test]
    fn other_authorizations_have_no_scope() {
        let uri = Uri::from_static("/");
        for header in ["Bearer abc", "AWS4-HMAC-SHA256 Credential=a/b/c", "AWS k:s"] {
            assert_eq!(Scope::read(&headers(header), &uri), None);
        }
    }
}

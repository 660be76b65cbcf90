//! Signed links by which a person answers a request. A signature is over id, decision and expiry: a link answers one
//! request in one way. It is no secret of AWS's, and no task token.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

/// Characters of an id that are looked at.
const ID_CHARS: usize = 64;

/// What a person answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The fix is allowed.
    Approve,
    /// The fix is refused.
    Refuse,
}

impl Decision {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Approve, Self::Refuse];

    /// It as a word of a link.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Refuse => "refuse",
        }
    }

    /// Whether the fix is allowed.
    #[must_use]
    pub fn approved(self) -> bool {
        self == Self::Approve
    }
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The id of the record.
    pub id: String,
    /// The answer.
    pub decision: Decision,
    /// Until when it counts, in seconds since 1970.
    pub until: i64,
}

impl Claim {
    fn text(&self) -> String {
        format!("{}\n{}\n{}", self.id, self.decision.word(), self.until)
    }
}

/// The key that links are signed with.
#[derive(Clone)]
pub struct LinkKey(Hmac<Sha256>);

impl fmt::Debug for LinkKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("LinkKey(…)")
    }
}

/// Characters of a key, at least.
const KEY_CHARS: usize = 32;

impl LinkKey {
    /// The key in this secret; nothing if it is too short to be one.
    #[must_use]
    pub fn new(secret: &str) -> Option<Self> {
        let long = secret.len() >= KEY_CHARS;
        let key = Hmac::new_from_slice(secret.as_bytes()).ok();
        key.filter(|_| long).map(Self)
    }

    /// The signature of a claim.
    #[must_use]
    pub fn sign(&self, claim: &Claim) -> String {
        let mut mac = self.0.clone();
        mac.update(claim.text().as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    /// The link that answers so, at the address of the function.
    #[must_use]
    pub fn link(&self, address: &str, claim: &Claim) -> String {
        format!(
            "{}/?id={}&decision={}&until={}&signature={}",
            address.trim_end_matches('/'),
            claim.id,
            claim.decision.word(),
            claim.until,
            self.sign(claim)
        )
    }

    /// The claim of a link with these parts, if its signature is right. The comparison takes the same time whatever the
    /// signature is.
    #[must_use]
    pub fn verify(&self, id: &str, decision: &str, until: &str, signature: &str) -> Option<Claim> {
        let plain = !id.is_empty()
            && id.len() <= ID_CHARS
            && id.bytes().all(|it| it.is_ascii_alphanumeric());
        let claim = Claim {
            id: id.to_owned(),
            decision: Decision::ALL.into_iter().find(|it| it.word() == decision)?,
            until: until.parse().ok().filter(|_| plain)?,
        };
        let signature = hex::decode(signature).ok()?;
        let mut mac = self.0.clone();
        mac.update(claim.text().as_bytes());
        mac.verify_slice(&signature).ok()?;
        Some(claim)
    }
}

impl Claim {
    /// When it expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.until).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(last: char) -> LinkKey {
        let secret: String = "k".repeat(31);
        LinkKey::new(&format!("{secret}{last}")).unwrap()
    }

    fn claim() -> Claim {
        Claim {
            id: "0f1e2d3c4b5a697".to_owned(),
            decision: Decision::Approve,
            until: 1_772_446_530,
        }
    }

    #[test]
    fn a_link_holds_for_what_it_was_signed_for() {
        let (key, claim) = (key('1'), claim());
        let signature = key.sign(&claim);
        let (id, until) = (claim.id.as_str(), claim.until.to_string());
        let link = key.link("https://x.lambda-url.eu-west-1.on.aws/", &claim);
        let expected = format!(
            "https://x.lambda-url.eu-west-1.on.aws/?id={id}&decision=approve&until={until}&signature={signature}"
        );
        assert_eq!(link, expected);
        assert_eq!(
            key.verify(id, "approve", &until, &signature),
            Some(claim.clone())
        );
        for (id, decision, until, signature) in [
            (id, "refuse", &until[..], &signature[..]),
            (id, "Approve", &until, &signature),
            ("0f1e2d3c4b5a698", "approve", &until, &signature),
            ("", "approve", &until, &signature),
            (id, "approve", "1772446531", &signature),
            (id, "approve", "", &signature),
            (id, "approve", &until, ""),
            (id, "approve", &until, &signature[2..]),
            (id, "approve", &until, &"0".repeat(64)),
        ] {
            assert_eq!(
                key.verify(id, decision, until, signature),
                None,
                "{decision} {until}"
            );
        }
        let other = self::key('2');
        assert_eq!(other.verify(id, "approve", &until, &signature), None);
        assert!(LinkKey::new("short").is_none());
        assert!(!format!("{key:?}").contains('k'.to_string().repeat(3).as_str()));
    }

    proptest! {
        #[test]
        fn what_was_not_signed_is_refused(
            id in ".{0,80}", decision in "approve|refuse|.{0,10}", until in "[0-9]{0,12}|.{0,12}",
            signature in "[0-9a-f]{64}|.{0,70}",
        ) {
            prop_assert_eq!(key('1').verify(&id, &decision, &until, &signature), None);
        }
    }
}

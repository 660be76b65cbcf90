//! A call of Security Hub, as the stand-in gets it.

/// One call.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) operation: &'a str,
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
    pub(crate) body: &'a [u8],
}

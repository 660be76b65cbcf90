//! Address ranges: which of them can be somebody on the internet.

use std::net::IpAddr;

/// Ranges from which nothing comes by the internet (RFC 6890).
const NOT_PUBLIC: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// Whether a range has public addresses. One that cannot be read counts as public: it is shown, not left out.
#[must_use]
pub fn is_public(range: &str) -> bool {
    let Some((address, length)) = parsed(range) else {
        return true;
    };
    !NOT_PUBLIC.iter().any(|outer| {
        parsed(outer)
            .is_some_and(|(start, outer)| length >= outer && same_start(address, start, outer))
    })
}

/// Whether a range is every address of its family.
#[must_use]
pub fn is_everything(range: &str) -> bool {
    parsed(range).is_some_and(|(_, length)| length == 0)
}

fn parsed(range: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = range.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u32 = length.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    (length <= most).then_some((address, length))
}

/// Whether two addresses of one family have the same first `bits`.
fn same_start(one: IpAddr, other: IpAddr, bits: u32) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differs = u32::from(one) ^ u32::from(other);
            bits == 0 || differs.leading_zeros() >= bits
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differs = u128::from(one) ^ u128::from(other);
            bits == 0 || differs.leading_zeros() >= bits
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn private_ranges_are_nobody_on_the_internet() {
        for (range, wanted) in [
            ("0.0.0.0/0", true),
            ("10.0.0.0/8", false),
            ("10.1.2.3/32", false),
            ("8.0.0.0/5", true),
            ("172.16.0.0/11", true),
            ("172.31.255.255/32", false),
            ("192.168.0.0/16", false),
            ("203.0.113.0/24", true),
            ("::/0", true),
            ("fd00::/8", false),
            ("2001:db8::/32", true),
            ("fe80::1/128", false),
            ("nonsense", true),
            ("10.0.0.0/99", true),
        ] {
            assert_eq!(is_public(range), wanted, "{range}");
        }
        assert!(is_everything("0.0.0.0/0") && is_everything("::/0"));
        assert!(!is_everything("0.0.0.0/1") && !is_everything(""));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            let _ = (is_public(&text), is_everything(&text));
        }

        #[test]
        fn what_is_within_a_private_range_is_private(address in any::<u32>(), length in 8u32..=32) {
            let address = std::net::Ipv4Addr::from((10 << 24) | (address >> 8));
            let range = format!("{address}/{length}");
            prop_assert!(!is_public(&range));
        }
    }
}

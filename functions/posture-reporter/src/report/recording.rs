//! The second source: which public addresses AWS Config has recorded, and which of those that the survey saw it lacks.

use std::collections::{BTreeMap, BTreeSet};

use orgkeeper_shared::posture::{
    exposure::{Exposure, Kind},
    pair::{Outcome, Pair, PairRecord},
};

/// Resources of a gap that are named; the rest is counted.
const NAMED: usize = 20;

/// What is known of the second source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SecondSource {
    /// There is none.
    #[default]
    Off,
    /// It could not be asked.
    Unasked {
        /// Its name.
        aggregator: String,
        /// Why, in words.
        reason: String,
    },
    /// It was asked.
    Asked(Recorded),
}

/// What the aggregator has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its name.
    pub aggregator: String,
    /// The public addresses of network interfaces, each with its pair.
    pub addresses: BTreeSet<(Pair, String)>,
    /// The sources that it could not read lately, or why these could not be asked for.
    pub sources: Result<Vec<PoorSource>, String>,
}

/// A source that the aggregator could not read lately.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoorSource {
    /// The account, or the organization.
    pub id: String,
    /// The Region.
    pub region: String,
    /// `FAILED` or `OUTDATED`.
    pub status: String,
    /// The code of its last error.
    pub error: String,
}

/// What AWS Config lacks of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap<'s> {
    /// The exposures that it lacks, in order.
    pub lacks: Vec<&'s Exposure>,
}

impl Gap<'_> {
    /// The resources with their addresses, in one text.
    #[must_use]
    pub fn in_words(&self) -> String {
        let named = self.lacks.iter().take(NAMED);
        let mut words: Vec<String> = named
            .map(|exposure| format!("{} at {}", exposure.resource, exposure.address))
            .collect();
        if self.lacks.len() > NAMED {
            words.push(format!("and {} more", self.lacks.len() - NAMED));
        }
        words.join("; ")
    }
}

/// Whether an exposure is the public address of a network interface, which AWS Config can record.
fn is_comparable(exposure: &Exposure) -> bool {
    match exposure.kind {
        Kind::Instance | Kind::Interface | Kind::NatGateway => !exposure.stale,
        Kind::Ipv6
        | Kind::LoadBalancer
        | Kind::IdleAddress
        | Kind::Database
        | Kind::FunctionUrl
        | Kind::PublicSubnet
        | Kind::Route => false,
    }
}

/// What AWS Config lacks, for each pair that was seen and has something to record. Nothing of a pair that was not seen, or is
/// stale: the survey does not know either what is there.
#[must_use]
pub fn gaps<'s>(
    recorded: &Recorded,
    pairs: &'s [PairRecord],
    exposures: &'s [Exposure],
) -> BTreeMap<&'s Pair, Gap<'s>> {
    let seen = pairs
        .iter()
        .filter(|record| record.outcome == Outcome::Seen && !record.stale);
    let seen: BTreeSet<&Pair> = seen.map(|record| &record.pair).collect();
    let mut gaps: BTreeMap<&Pair, Gap<'_>> = BTreeMap::new();
    for exposure in exposures.iter().filter(|it| is_comparable(it)) {
        let Some(pair) = seen.get(&exposure.pair) else {
            continue;
        };
        let gap = gaps.entry(pair).or_insert(Gap { lacks: Vec::new() });
        let address = (exposure.pair.clone(), exposure.address.clone());
        if !recorded.addresses.contains(&address) {
            gap.lacks.push(exposure);
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::samples, samples::exposure};

    fn recorded(addresses: &[(&str, &str)]) -> Recorded {
        let addresses = addresses.iter();
        Recorded {
            aggregator: "organization".into(),
            addresses: addresses
                .map(|(pair, address)| (pair.parse().unwrap(), (*address).to_owned()))
                .collect(),
            sources: Ok(Vec::new()),
        }
    }

    fn at(pair: &str, address: &str, kind: Kind) -> Exposure {
        Exposure {
            pair: pair.parse().unwrap(),
            address: address.into(),
            kind,
            ..exposure("eni-1")
        }
    }

    #[test]
    fn an_address_is_recorded_in_its_own_pair() {
        let pairs = samples::pairs();
        let (seen, other) = ("222222222222#eu-west-1", "222222222222#us-east-1");
        let exposures = [
            at(seen, "203.0.113.5", Kind::Instance),
            at(seen, "203.0.113.6", Kind::NatGateway),
            at(other, "203.0.113.5", Kind::Interface),
        ];
        let recorded = recorded(&[(seen, "203.0.113.5"), (other, "203.0.113.9")]);
        let gaps = gaps(&recorded, &pairs, &exposures);
        let lacks: Vec<(String, String)> = gaps
            .iter()
            .map(|(pair, gap)| (pair.to_string(), gap.in_words()))
            .collect();
        let expected = [
            (seen, "eni-1 at 203.0.113.6"),
            (other, "eni-1 at 203.0.113.5"),
        ];
        let expected = expected.map(|(pair, words)| (pair.to_owned(), words.to_owned()));
        assert_eq!(lacks, expected);
    }

    #[test]
    fn what_the_survey_does_not_know_is_no_gap() {
        let mut pairs = samples::pairs();
        let exposures = |stale: bool| {
            let kinds = [
                (Kind::Ipv6, false),
                (Kind::LoadBalancer, false),
                (Kind::IdleAddress, false),
                (Kind::Instance, stale),
            ];
            kinds.map(|(kind, stale)| Exposure {
                stale,
                ..at("222222222222#eu-west-1", "203.0.113.5", kind)
            })
        };
        let nothing = recorded(&[]);
        let stale = exposures(true);
        assert!(gaps(&nothing, &pairs, &stale).is_empty());
        let fresh = exposures(false);
        assert_eq!(gaps(&nothing, &pairs, &fresh).len(), 1);
        // A part of the pair is stale, or none of it was seen.
        pairs[0].stale = true;
        assert!(gaps(&nothing, &pairs, &fresh).is_empty());
        (pairs[0].stale, pairs[0].outcome) = (false, Outcome::Failed);
        assert!(gaps(&nothing, &pairs, &fresh).is_empty());
    }

    #[test]
    fn a_large_gap_is_counted() {
        let pairs = samples::pairs();
        let exposures: Vec<Exposure> = (0..25)
            .map(|place| {
                let address = format!("203.0.113.{place}");
                at("222222222222#eu-west-1", &address, Kind::Interface)
            })
            .collect();
        let recorded = recorded(&[]);
        let gaps = gaps(&recorded, &pairs, &exposures);
        let words = gaps.values().next().unwrap().in_words();
        assert!(words.ends_with("; and 5 more"), "{words}");
    }
}

//! One look at an account in a Region: what was found, and what could not be read.

use futures::future::{join, join3, join5};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    posture::{exposure::Kind, pair::Outcome},
};

use crate::{
    exposed::{Found, of_databases, of_network, of_urls},
    gateway::reads::{Interfaces, Reads},
    network::Network,
    ways_out::of_routes,
};

/// The most characters of a reason that are kept: EC2's denials carry a long code.
const LONGEST_REASON: usize = 300;
/// Words of a denial that a policy of the organization caused.
const POLICIES: &[&str] = &[
    "service control policy",
    "resource control policy",
    "declarative policy",
];
/// Codes of credentials that a Region does not know yet: the account has it enabled since a moment.
const NOT_YET: &[&str] = &[
    "AuthFailure",
    "InvalidClientTokenId",
    "OptInRequired",
    "UnrecognizedClientException",
];

/// What is read for itself: if it fails, what it showed before stays, and the rest is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// EC2 and load balancers.
    Network,
    /// Databases.
    Databases,
    /// Function URLs.
    Functions,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 3] = [Self::Network, Self::Databases, Self::Functions];

    /// The source of a kind of exposure.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Instance
            | Kind::Interface
            | Kind::Ipv6
            | Kind::LoadBalancer
            | Kind::NatGateway
            | Kind::IdleAddress
            | Kind::PublicSubnet
            | Kind::Route => Self::Network,
            Kind::Database => Self::Databases,
            Kind::FunctionUrl => Self::Functions,
        }
    }
}

/// Why something was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// How the pair ends.
    pub outcome: Outcome,
    /// In words.
    pub reason: String,
    /// Whether another look can give more.
    pub passes: bool,
}

impl Unread {
    /// Of a call in a Region, or of the role's.
    #[must_use]
    pub fn by(error: &AwsCallError) -> Self {
        let outcome = match error.class() {
            AwsErrorClass::Denied if NOT_YET.iter().any(|code| error.has_code(code)) => {
                Outcome::Failed
            }
            AwsErrorClass::Denied if is_by_policy(error) => Outcome::DeniedByPolicy,
            AwsErrorClass::Denied => Outcome::RoleMissing,
            AwsErrorClass::Throttled
            | AwsErrorClass::TimedOut
            | AwsErrorClass::Unreachable
            | AwsErrorClass::ServiceFault
            | AwsErrorClass::Conflict
            | AwsErrorClass::ConditionFailed
            | AwsErrorClass::NotFound
            | AwsErrorClass::SetUp
            | AwsErrorClass::Refused => Outcome::Failed,
        };
        Self {
            outcome,
            reason: error.to_string().chars().take(LONGEST_REASON).collect(),
            passes: outcome == Outcome::Failed && error.retryable_or_denied(),
        }
    }
}

/// Whether a policy of the organization denied a call.
fn is_by_policy(error: &AwsCallError) -> bool {
    let words = error.in_words();
    POLICIES.iter().any(|policy| words.contains(policy))
}

/// What one look gave, by source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What was found, each with its source.
    pub found: Vec<Found>,
    /// The sources that were not read.
    pub unread: Vec<(Source, Unread)>,
}

impl Look {
    /// A look that gave nothing, for one reason.
    #[must_use]
    pub fn blind(unread: &Unread) -> Self {
        Self {
            found: Vec::new(),
            unread: Source::ALL.map(|source| (source, unread.clone())).to_vec(),
        }
    }

    /// Whether a source was read.
    #[must_use]
    pub fn has_read(&self, source: Source) -> bool {
        self.unread.iter().all(|(unread, _)| *unread != source)
    }

    /// How the look ended, and why unless everything was read.
    #[must_use]
    pub fn outcome(&self) -> (Outcome, Option<String>) {
        let Some((_, first)) = self.unread.first() else {
            return (Outcome::Seen, None);
        };
        let worst = self.unread.iter().map(|(_, unread)| unread.outcome).max();
        let mut reasons: Vec<&str> = Vec::new();
        for (_, unread) in &self.unread {
            if !reasons.contains(&unread.reason.as_str()) {
                reasons.push(&unread.reason);
            }
        }
        (worst.unwrap_or(first.outcome), Some(reasons.join("; ")))
    }

    /// Whether another look can give more.
    #[must_use]
    pub fn can_be_better(&self) -> bool {
        self.unread.iter().any(|(_, unread)| unread.passes)
    }
}

/// Looks at a Region. Three calls if there is no interface in it: nothing else can be exposed there.
pub async fn look(reads: &Reads<'_>) -> Look {
    let (interfaces, idle, urls) = join3(
        reads.interfaces(),
        reads.idle_addresses(),
        reads.open_urls(),
    )
    .await;
    let mut look = Look {
        found: Vec::new(),
        unread: Vec::new(),
    };
    let network = async {
        let interfaces = interfaces?;
        let network = Network {
            account: reads.account().to_string(),
            idle_addresses: idle?,
            ..Network::default()
        };
        if interfaces.any {
            // Boxed: together the futures of the SDK's calls would outgrow a thread's stack.
            Box::pin(in_use(reads, network, interfaces)).await
        } else {
            Ok((network, None))
        }
    };
    match Box::pin(network).await {
        Ok((network, databases)) => {
            look.found.extend(of_network(&network));
            look.found.extend(of_routes(&network));
            match databases {
                None => {}
                Some(Ok(databases)) => look.found.extend(of_databases(&network, &databases)),
                Some(Err(error)) => look.unread.push((Source::Databases, Unread::by(&error))),
            }
        }
        // Without the network it is not known who reaches a database.
        Err(error) => {
            let unread = Unread::by(&error);
            look.unread.push((Source::Network, unread.clone()));
            look.unread.push((Source::Databases, unread));
        }
    }
    match urls {
        Ok(urls) => look.found.extend(of_urls(&urls)),
        Err(error) => look.unread.push((Source::Functions, Unread::by(&error))),
    }
    look
}

/// The databases, if they were asked for.
type Databases = Option<Result<Vec<crate::network::Database>, AwsCallError>>;

/// Reads the rest of a Region in which there is an interface.
async fn in_use(
    reads: &Reads<'_>,
    network: Network,
    interfaces: Interfaces,
) -> Result<(Network, Databases), AwsCallError> {
    let routing = join5(
        reads.route_tables(),
        reads.gateways(),
        reads.subnets(),
        reads.groups(),
        reads.block(),
    );
    let others = join(reads.load_balancers(), reads.public_databases());
    let ((tables, gateways, subnets, groups, block), (balancers, databases)) =
        Box::pin(join(routing, others)).await;
    let (block, exclusions) = block?;
    let network = Network {
        interfaces: interfaces.exposed,
        subnets_in_use: interfaces.subnets_in_use,
        tables: tables?,
        gateways: gateways?,
        subnets: subnets?,
        groups: groups?,
        block,
        exclusions,
        load_balancers: balancers?,
        ..network
    };
    Ok((network, Some(databases)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread(outcome: Outcome, reason: &str, passes: bool) -> Unread {
        Unread {
            outcome,
            reason: reason.into(),
            passes,
        }
    }

    #[test]
    fn a_look_ends_as_its_worst_source() {
        let mut look = Look {
            found: Vec::new(),
            unread: Vec::new(),
        };
        assert_eq!(look.outcome(), (Outcome::Seen, None));
        look.unread.push((
            Source::Network,
            unread(Outcome::DeniedByPolicy, "denied", false),
        ));
        assert!(!look.can_be_better());
        look.unread.push((
            Source::Databases,
            unread(Outcome::DeniedByPolicy, "denied", false),
        ));
        assert_eq!(
            look.outcome(),
            (Outcome::DeniedByPolicy, Some("denied".into()))
        );
        look.unread.push((
            Source::Functions,
            unread(Outcome::Failed, "throttled", true),
        ));
        assert_eq!(
            look.outcome(),
            (Outcome::Failed, Some("denied; throttled".into()))
        );
        assert!(look.can_be_better() && !look.has_read(Source::Network));
    }

    #[test]
    fn every_kind_has_a_source() {
        let network = Kind::ALL
            .into_iter()
            .filter(|kind| Source::of(*kind) == Source::Network);
        assert_eq!(network.count(), Kind::ALL.len() - 2);
    }
}

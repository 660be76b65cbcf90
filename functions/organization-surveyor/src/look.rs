//! One look at an account in a Region: what was found, and what could not be read.

use std::{collections::BTreeSet, time::Duration};

use futures::future::{join, join5};
use orgkeeper_shared::{
    aws_error::{AwsCallError, AwsErrorClass},
    posture::{
        exposure::Exposure,
        pair::Outcome,
        task::{Part, Source},
    },
};
use tokio::time::{Instant, error::Elapsed, timeout_at};

use crate::{
    exposed::{Found, of_databases, of_network, of_urls},
    gateway::reads::{Interfaces, Reads},
    network::{Functions, Network, SomeFunctions},
    ways_out::of_routes,
};

/// For so long functions are asked by one look; the rest follows in another task. In between, a hint at the account is
/// followed: one look at a time claims it.
const FUNCTIONS_TIME: Duration = Duration::from_secs(30);

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
    /// An invocation was too short for it.
    #[must_use]
    pub fn out_of_time() -> Self {
        Self {
            outcome: Outcome::Failed,
            reason: "it could not be read within one invocation".to_owned(),
            passes: true,
        }
    }

    /// Where everything was read before, a denial can be one that passes: a policy or a role that is being replaced.
    pub fn doubt_a_denial(&mut self) {
        self.passes |= matches!(self.outcome, Outcome::DeniedByPolicy | Outcome::RoleMissing);
    }

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

/// What a look says of something that it has not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// It is not there.
    Gone,
    /// It could not be read whether it is.
    Unread,
    /// The look was not about it.
    NotAsked,
}

/// What one look gave, by source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// What was found, each with its source.
    pub found: Vec<Found>,
    /// The sources that it is about.
    pub asked: BTreeSet<Source>,
    /// Those of them that were not read.
    pub unread: Vec<(Source, Unread)>,
    /// The functions that were asked, if not all were.
    pub functions: Option<SomeFunctions>,
}

impl Look {
    fn about(asked: BTreeSet<Source>) -> Self {
        Self {
            found: Vec::new(),
            asked,
            unread: Vec::new(),
            functions: None,
        }
    }

    /// A look at these sources that gave nothing, for one reason.
    #[must_use]
    pub fn blind(asked: &BTreeSet<Source>, unread: &Unread) -> Self {
        let of_each = asked.iter().map(|source| (*source, unread.clone()));
        Self {
            unread: of_each.collect(),
            ..Self::about(asked.clone())
        }
    }

    /// What it says of a source in which nothing was found.
    #[must_use]
    pub fn silence(&self, source: Source) -> Silence {
        if !self.asked.contains(&source) {
            Silence::NotAsked
        } else if self.unread.iter().any(|(unread, _)| *unread == source) {
            Silence::Unread
        } else {
            Silence::Gone
        }
    }

    /// What it says of an exposure that it has not found.
    #[must_use]
    pub fn silence_about(&self, exposure: &Exposure) -> Silence {
        let source = Source::of(exposure.kind);
        let some = self.functions.as_ref();
        let some = some.filter(|_| source == Source::Functions);
        match self.silence(source) {
            Silence::Gone if some.is_some_and(|some| !some.covers(&exposure.resource)) => {
                Silence::NotAsked
            }
            said => said,
        }
    }

    /// Takes out the sources that another look can read, as if they had not been asked.
    pub fn set_aside(&mut self) -> BTreeSet<Source> {
        let passing = self.unread.iter().filter(|(_, unread)| unread.passes);
        let aside: BTreeSet<Source> = passing.map(|(source, _)| *source).collect();
        self.unread.retain(|(source, _)| !aside.contains(source));
        self.asked.retain(|source| !aside.contains(source));
        aside
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
}

/// Looks at a part of a Region until then. Three calls if there is no interface in it: nothing else can be exposed there.
pub async fn look(reads: &Reads<'_>, part: &Part, until: Instant) -> Look {
    let mut asked = part.sources.clone();
    // Who reaches a database, the network says.
    let with_network = [Source::Network, Source::Databases];
    let asks_network = with_network.iter().any(|source| asked.contains(source));
    if asks_network {
        asked.extend(with_network);
    }
    let mut look = Look::about(asked);
    // Each has its own end: functions are many, and asked one by one.
    let network = async {
        if asks_network {
            // Boxed: together the futures of the SDK's calls would outgrow a thread's stack.
            Some(timeout_at(until, Box::pin(network(reads))).await)
        } else {
            None
        }
    };
    let functions = async {
        if part.sources.contains(&Source::Functions) {
            let urls = reads.open_urls(part.after.as_deref(), FUNCTIONS_TIME);
            Some(timeout_at(until, Box::pin(urls)).await)
        } else {
            None
        }
    };
    let (network, functions) = join(network, functions).await;
    match network.map(or_unread) {
        None => {}
        Some(Ok((network, databases))) => {
            look.found.extend(of_network(&network));
            look.found.extend(of_routes(&network));
            match databases {
                None => {}
                Some(Ok(databases)) => look.found.extend(of_databases(&network, &databases)),
                Some(Err(error)) => look.unread.push((Source::Databases, Unread::by(&error))),
            }
        }
        // Without the network it is not known who reaches a database.
        Some(Err(unread)) => {
            let of_each = with_network.map(|source| (source, unread.clone()));
            look.unread.extend(of_each);
        }
    }
    match functions.map(or_unread) {
        None => {}
        Some(Ok(Functions { urls, some })) => {
            look.found.extend(of_urls(&urls));
            look.functions = some;
        }
        Some(Err(unread)) => look.unread.push((Source::Functions, unread)),
    }
    look
}

/// What was read, or why it was not: a call failed, or there was no time.
fn or_unread<T>(read: Result<Result<T, AwsCallError>, Elapsed>) -> Result<T, Unread> {
    match read {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(error)) => Err(Unread::by(&error)),
        Err(_) => Err(Unread::out_of_time()),
    }
}

/// Reads the network of a Region, and the databases if there is an interface.
async fn network(reads: &Reads<'_>) -> Result<(Network, Databases), AwsCallError> {
    let (interfaces, idle) = join(reads.interfaces(), reads.idle_addresses()).await;
    let interfaces = interfaces?;
    let network = Network {
        account: reads.account().to_string(),
        idle_addresses: idle?,
        ..Network::default()
    };
    if interfaces.any {
        Box::pin(in_use(reads, network, interfaces)).await
    } else {
        Ok((network, None))
    }
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

    fn look(unread: Vec<(Source, Unread)>) -> Look {
        Look {
            unread,
            ..Look::about(Source::ALL.into())
        }
    }

    #[test]
    fn a_look_ends_as_its_worst_source() {
        let mut look = look(Vec::new());
        assert_eq!(look.outcome(), (Outcome::Seen, None));
        let denied = unread(Outcome::DeniedByPolicy, "denied", false);
        look.unread.push((Source::Network, denied.clone()));
        look.unread.push((Source::Databases, denied));
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
        assert_eq!(look.silence(Source::Network), Silence::Unread);
    }

    #[test]
    fn what_another_look_can_read_is_as_if_it_had_not_been_asked() {
        let mut look = look(vec![
            (
                Source::Databases,
                unread(Outcome::RoleMissing, "denied", false),
            ),
            (
                Source::Functions,
                unread(Outcome::Failed, "throttled", true),
            ),
        ]);
        assert_eq!(look.set_aside(), BTreeSet::from([Source::Functions]));
        let said = Source::ALL.map(|source| look.silence(source));
        assert_eq!(said, [Silence::Gone, Silence::Unread, Silence::NotAsked]);
        assert_eq!(look.outcome().0, Outcome::RoleMissing);
    }

    #[test]
    fn a_denial_is_doubted_and_another_failure_is_not() {
        for (outcome, passes) in [
            (Outcome::DeniedByPolicy, true),
            (Outcome::RoleMissing, true),
            (Outcome::Failed, false),
            (Outcome::Suspended, false),
        ] {
            let mut unread = unread(outcome, "", false);
            unread.doubt_a_denial();
            assert_eq!(unread.passes, passes, "{outcome:?}");
        }
    }
}

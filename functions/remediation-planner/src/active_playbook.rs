//! The playbook in force: read from its bucket, and again every few minutes.
//!
//! A wrong playbook never comes into force: the last good one stays, in a new process too, which finds it among the
//! earlier versions. Without any in the bucket the shipped one is in force.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use orgkeeper_shared::{
    aws_error::AwsCallError,
    versioned_file::{Found, Version, VersionedFile},
};

use crate::{playbook::Playbook, playbook_file::PlaybookError};

/// The key of the playbook in its bucket.
pub const KEY: &str = "playbook.toml";
/// The shipped playbook.
pub const SHIPPED: &str = include_str!("../../../infra/playbook.toml");
/// The version of the shipped playbook.
const SHIPPED_VERSION: &str = "shipped";
/// The age at which the playbook is read again.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);
/// How long the last one counts if it cannot be read again: somebody may have exempted something since.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// The playbook in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The playbook.
    pub playbook: Arc<Playbook>,
    /// Its version in the bucket, or `shipped`.
    pub version: String,
    /// The newest version, if it is refused: to be reported once for each version.
    pub refused: Option<Arc<RefusedPlaybook>>,
}

/// A version of the playbook that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {version} of the playbook is refused, and an earlier one stays in force")]
pub struct RefusedPlaybook {
    /// The version.
    pub version: String,
    /// What is wrong with it.
    #[source]
    pub error: PlaybookError,
}

/// Why there is no playbook.
#[derive(Debug, thiserror::Error)]
pub enum NoPlaybook {
    /// It cannot be read.
    #[error("the playbook cannot be read")]
    Call(#[source] Arc<AwsCallError>),
    /// The shipped one is wrong; a test holds it right.
    #[error("the shipped playbook is wrong")]
    Shipped(#[source] PlaybookError),
}

impl NoPlaybook {
    /// Whether it can be there later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Call(error) => error.retryable_or_denied(),
            Self::Shipped(_) => false,
        }
    }
}

/// Keeps the playbook in force.
#[derive(Debug)]
pub struct ActivePlaybook {
    object: VersionedFile,
    current: Mutex<Option<Current>>,
}

#[derive(Clone, Debug)]
struct Current {
    in_force: InForce,
    /// The tag of the newest version, in force or refused.
    tag: Option<String>,
    /// The time of the last attempt to read it, and of the last one that succeeded.
    tried_at: Timestamp,
    read_at: Timestamp,
}

impl ActivePlaybook {
    /// The playbook of this object. Makes no call.
    #[must_use]
    pub fn new(object: VersionedFile) -> Self {
        Self {
            object,
            current: Mutex::default(),
        }
    }

    /// The playbook in force, read again if it is old. If that fails, the last one stays in force for an hour.
    ///
    /// # Errors
    /// If there is none: nothing is decided then.
    pub async fn in_force(&self, now: Timestamp) -> Result<InForce, NoPlaybook> {
        let known = self.lock().clone();
        if let Some(known) = &known
            && now.duration_since(known.tried_at) < MAX_AGE
            && now.duration_since(known.read_at) < LONGEST
        {
            return Ok(known.in_force.clone());
        }
        let read = match self.read(known.as_ref()).await {
            Ok((in_force, tag)) => Current {
                in_force,
                tag,
                tried_at: now,
                read_at: now,
            },
            Err(error) => match known {
                Some(known) if now.duration_since(known.read_at) < LONGEST => {
                    tracing::error!(
                        error = error.to_string(),
                        cause = std::error::Error::source(&error).map(ToString::to_string),
                        "the playbook cannot be read again, the last one stays in force"
                    );
                    Current {
                        tried_at: now,
                        ..known
                    }
                }
                _ => return Err(error),
            },
        };
        let in_force = read.in_force.clone();
        *self.lock() = Some(read);
        Ok(in_force)
    }

    /// The playbook in force as the bucket has it now, and the tag of its newest version.
    async fn read(&self, known: Option<&Current>) -> Result<(InForce, Option<String>), NoPlaybook> {
        let call = |error| NoPlaybook::Call(Arc::new(error));
        let tag = known.and_then(|known| known.tag.as_deref());
        let version = match (self.object.read(tag).await.map_err(call)?, known) {
            (Found::Unchanged, Some(known)) => {
                return Ok((known.in_force.clone(), known.tag.clone()));
            }
            // Without a known tag nothing is unchanged.
            (Found::Nothing, _) | (Found::Unchanged, None) => return Ok((shipped()?, None)),
            (Found::Version(version), _) => version,
        };
        let tag = Some(version.tag.clone());
        let refused = match parse(&version) {
            Ok(playbook) => return Ok((in_force(playbook, version.id), tag)),
            Err(error) => Some(Arc::new(RefusedPlaybook {
                version: version.id,
                error,
            })),
        };
        let last = match known {
            Some(known) => known.in_force.clone(),
            None => self.last_good().await?,
        };
        Ok((InForce { refused, ..last }, tag))
    }

    /// The newest earlier version that is right, else the shipped one: it was in force before the first of them.
    async fn last_good(&self) -> Result<InForce, NoPlaybook> {
        let call = |error| NoPlaybook::Call(Arc::new(error));
        for id in self.object.earlier().await.map_err(call)? {
            let version = self.object.version(&id).await.map_err(call)?;
            if let Some(version) = version
                && let Ok(playbook) = parse(&version)
            {
                return Ok(in_force(playbook, id));
            }
        }
        shipped()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(version: &Version) -> Result<Playbook, PlaybookError> {
    match &version.text {
        Ok(text) => Playbook::parse(text),
        Err(problem) => Err(PlaybookError(vec![(*problem).to_owned()])),
    }
}

fn in_force(playbook: Playbook, version: String) -> InForce {
    InForce {
        playbook: Arc::new(playbook),
        version,
        refused: None,
    }
}

fn shipped() -> Result<InForce, NoPlaybook> {
    let playbook = Playbook::parse(SHIPPED).map_err(NoPlaybook::Shipped)?;
    Ok(in_force(playbook, SHIPPED_VERSION.to_owned()))
}

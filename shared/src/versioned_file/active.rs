//! The file in force: read from its bucket, and again every few minutes.
//!
//! A wrong file never comes into force: the last good one stays, in a new process too, which finds it among the earlier
//! versions. Without any in the bucket the shipped one is in force.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

use super::object::{Found, Version, VersionedObject};
use crate::aws_error::AwsCallError;

/// The version of the shipped file.
pub const SHIPPED_VERSION: &str = "shipped";
/// The age at which the file is read again.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(5);
/// How long the last one counts if it cannot be read again: somebody may have exempted something since.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// A file that people write.
pub trait Written: Sized {
    /// Its key in the bucket.
    const KEY: &'static str;

    /// The file in this text.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line.
    fn parse(text: &str) -> Result<Self, Vec<String>>;

    /// The one that is in force while there is none in the bucket.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    fn shipped() -> Result<Self, Vec<String>>;
}

/// The file in force.
#[derive(Clone, Debug)]
pub struct InForce<F> {
    /// The file.
    pub file: Arc<F>,
    /// Its version in the bucket, or `shipped`.
    pub version: String,
    /// The newest version, if it is refused: to be reported once for each version.
    pub refused: Option<Arc<RefusedFile>>,
}

/// A version of the file that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("version {version} is refused, and an earlier one stays in force: {}", faults.join("; "))]
pub struct RefusedFile {
    /// The version.
    pub version: String,
    /// What is wrong with it.
    pub faults: Vec<String>,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum NoFile {
    /// It cannot be read.
    #[error("{0} cannot be read")]
    Call(&'static str, #[source] Arc<AwsCallError>),
    /// The shipped one is wrong; a test holds it right.
    #[error("the shipped file is wrong: {}", .0.join("; "))]
    Shipped(Vec<String>),
}

impl NoFile {
    /// Whether it can be there later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Call(_, error) => error.retryable_or_denied(),
            Self::Shipped(_) => false,
        }
    }
}

/// Keeps the file in force.
#[derive(Debug)]
pub struct ActiveFile<F> {
    object: VersionedObject,
    current: Mutex<Option<Current<F>>>,
}

#[derive(Debug)]
struct Current<F> {
    in_force: Arc<InForce<F>>,
    /// The tag of the newest version, in force or refused.
    tag: Option<String>,
    /// The time of the last attempt to read it, and of the last one that succeeded.
    tried_at: Timestamp,
    read_at: Timestamp,
}

impl<F: Written> ActiveFile<F> {
    /// The file in this bucket. Makes no call.
    #[must_use]
    pub fn new(client: aws_sdk_s3::Client, bucket: String) -> Self {
        Self {
            object: VersionedObject::new(client, bucket, F::KEY),
            current: Mutex::new(None),
        }
    }

    /// The file in force, read again if it is old. If that fails, the last one stays in force for an hour.
    ///
    /// # Errors
    /// If there is none: nothing is decided then.
    pub async fn in_force(&self, now: Timestamp) -> Result<Arc<InForce<F>>, NoFile> {
        self.in_force_since(now, None).await
    }

    /// The file in force, read at `since` or later: somebody has uploaded one then.
    ///
    /// # Errors
    /// If there is none, or if it cannot be read again although it is older than that.
    pub async fn in_force_since(
        &self,
        now: Timestamp,
        since: Option<Timestamp>,
    ) -> Result<Arc<InForce<F>>, NoFile> {
        self.known_or_read(now, &BTreeSet::new(), None, since).await
    }

    /// The file in force, where these versions are refused for a reason that is not in the file itself. It is read again if
    /// `newest` is another version than the one in force: somebody knows of an upload.
    ///
    /// # Errors
    /// As [`in_force`](Self::in_force).
    pub async fn in_force_without(
        &self,
        now: Timestamp,
        refused: &BTreeSet<String>,
        newest: Option<&str>,
    ) -> Result<Arc<InForce<F>>, NoFile> {
        self.known_or_read(now, refused, newest, None).await
    }

    async fn known_or_read(
        &self,
        now: Timestamp,
        refused: &BTreeSet<String>,
        newest: Option<&str>,
        since: Option<Timestamp>,
    ) -> Result<Arc<InForce<F>>, NoFile> {
        let is_new = |known: &Current<F>| since.is_none_or(|since| known.read_at >= since);
        let known = self.lock().clone();
        let known = known.filter(|known| newest.is_none_or(|it| it == known.in_force.version));
        // What was in force until it was refused is no last good one.
        let known = known.filter(|known| !refused.contains(&known.in_force.version));
        if let Some(known) = &known
            && is_new(known)
            && now.duration_since(known.tried_at) < MAX_AGE
            && now.duration_since(known.read_at) < LONGEST
        {
            return Ok(Arc::clone(&known.in_force));
        }
        let read = match self.read(known.as_ref(), refused).await {
            Ok((in_force, tag)) => Current {
                in_force,
                tag,
                tried_at: now,
                read_at: now,
            },
            Err(error) => match known {
                Some(known) if is_new(&known) && now.duration_since(known.read_at) < LONGEST => {
                    tracing::error!(
                        error = error.to_string(),
                        cause = std::error::Error::source(&error).map(ToString::to_string),
                        "the file cannot be read again, the last one stays in force"
                    );
                    Current {
                        tried_at: now,
                        ..known
                    }
                }
                _ => return Err(error),
            },
        };
        let in_force = Arc::clone(&read.in_force);
        *self.lock() = Some(read);
        Ok(in_force)
    }

    /// The file in force as the bucket has it now, and the tag of its newest version.
    async fn read(
        &self,
        known: Option<&Current<F>>,
        without: &BTreeSet<String>,
    ) -> Result<Read<F>, NoFile> {
        let tag = known.and_then(|known| known.tag.as_deref());
        let version = match (self.object.read(tag).await.map_err(call::<F>)?, known) {
            (Found::Unchanged, Some(known)) => {
                return Ok((Arc::clone(&known.in_force), known.tag.clone()));
            }
            // Without a known tag nothing is unchanged.
            (Found::Nothing, _) | (Found::Unchanged, None) => return Ok((shipped()?, None)),
            (Found::Version(version), _) => version,
        };
        let tag = Some(version.tag.clone());
        let refused = match allowed(&version, without) {
            Ok(file) => return Ok((in_force(file, version.id), tag)),
            Err(faults) => Some(Arc::new(RefusedFile {
                version: version.id,
                faults,
            })),
        };
        let last = match known {
            Some(known) => Arc::clone(&known.in_force),
            None => self.last_good(without).await?,
        };
        let in_force = InForce {
            file: Arc::clone(&last.file),
            version: last.version.clone(),
            refused,
        };
        Ok((Arc::new(in_force), tag))
    }

    /// The newest earlier version that is right, else the shipped one: it was in force before the first of them.
    async fn last_good(&self, without: &BTreeSet<String>) -> Result<Arc<InForce<F>>, NoFile> {
        for id in self.object.earlier().await.map_err(call::<F>)? {
            let version = self.object.version(&id).await.map_err(call::<F>)?;
            if let Some(version) = version
                && let Ok(file) = allowed(&version, without)
            {
                return Ok(in_force(file, id));
            }
        }
        shipped()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Current<F>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file in force, and the tag of the newest version.
type Read<F> = (Arc<InForce<F>>, Option<String>);

impl<F> Clone for Current<F> {
    fn clone(&self) -> Self {
        Self {
            in_force: Arc::clone(&self.in_force),
            tag: self.tag.clone(),
            tried_at: self.tried_at,
            read_at: self.read_at,
        }
    }
}

fn call<F: Written>(error: AwsCallError) -> NoFile {
    NoFile::Call(F::KEY, Arc::new(error))
}

/// The file, unless its version is among those that are refused.
fn allowed<F: Written>(version: &Version, without: &BTreeSet<String>) -> Result<F, Vec<String>> {
    if without.contains(&version.id) {
        return Err(vec!["it was refused when it was uploaded".to_owned()]);
    }
    parse(version)
}

fn parse<F: Written>(version: &Version) -> Result<F, Vec<String>> {
    match &version.text {
        Ok(text) => F::parse(text),
        Err(problem) => Err(vec![(*problem).to_owned()]),
    }
}

fn in_force<F>(file: F, version: String) -> Arc<InForce<F>> {
    Arc::new(InForce {
        file: Arc::new(file),
        version,
        refused: None,
    })
}

fn shipped<F: Written>() -> Result<Arc<InForce<F>>, NoFile> {
    let file = F::shipped().map_err(NoFile::Shipped)?;
    Ok(in_force(file, SHIPPED_VERSION.to_owned()))
}

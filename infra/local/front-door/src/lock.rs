//! The only way to take a lock, so that a panic elsewhere does not stop the front door.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`; every holder leaves its value consistent, so poison is ignored.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

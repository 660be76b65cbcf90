//! One way to take a lock, so that a panic elsewhere does not close the door.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`; every holder leaves its value whole, so a poisoned lock is as good as another.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

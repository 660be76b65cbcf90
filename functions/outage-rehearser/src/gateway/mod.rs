//! Whatever calls AWS here and nowhere else.

pub mod policies;
pub mod reports;
pub mod schedules;
pub mod table;

//! What the functions of the posture flow say to each other, and what their tables hold.
//!
//! * [`items`]: the items of the table `Posture`, read and written.
//! * [`verdict`]: what was decided about versions of the file that were uploaded.
//! * [`pair`]: one account in one Region, and what the last look at it gave: the table `Posture`.
//! * [`exposure`]: what faces the internet in a pair: the table `Exposure`; [`change`](exposure::change) says what a
//!   change of an item means.
//! * [`survey`]: the summary of one survey, in the table `Posture`: when it has ended, and how its pairs ended.
//! * [`task`]: the messages of the survey queue.
//! * [`file`]: `posture.toml`, and what it says about an account or an exposure; [`file_reader`] reads it.
//! * [`setting`]: the settings that are kept; [`setting_record`]: what is known of one in an account and Region. [`keep`]: the
//!   messages of the changes queue, and the summary of a run over all settings.
//! * [`enrolment`]: the accounts that are not under Control Tower, in the table `Posture`.
//! * [`regions`]: the Regions that AWS has.

pub mod enrolment;
pub mod exposure;
pub mod file;
pub mod file_reader;
pub mod items;
pub mod keep;
pub mod pair;
pub mod regions;
pub mod setting;
pub mod setting_record;
pub mod survey;
pub mod task;
pub mod verdict;

//! What the functions of the posture flow say to each other, and what their tables hold.
//!
//! * [`pair`]: one account in one Region, and what the last look at it gave: the table `Posture`.
//! * [`exposure`]: what faces the internet in a pair: the table `Exposure`; [`change`](exposure::change) says what a
//!   change of an item means.
//! * [`survey`]: the summary of one survey, in the table `Posture`: when it has ended, and how its pairs ended.
//! * [`task`]: the messages of the survey queue.
//! * [`regions`]: the Regions that AWS has.

pub mod exposure;
pub mod pair;
pub mod regions;
pub mod survey;
pub mod task;

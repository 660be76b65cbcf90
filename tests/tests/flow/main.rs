//! Flow tests: the deployed stack on the local cloud, with faults switched on.

mod alert;
mod baseline;
mod directory;
mod documents;
mod enrich;
mod operator;
mod posture;
mod rehearse;
mod remediate;
mod split;
mod topologies;
mod vend;

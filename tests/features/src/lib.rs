//! Holds no code: its `Cargo.toml` is what counts.
//!
//! Cargo compiles a dependency once for each set of features. Every package has this crate as a development
//! dependency, so each is tested with the features of the whole workspace: `cargo test -p <one>` compiles no
//! dependency again. Release builds ignore development dependencies.
//!
//! `tests/checks/test_features.py` fails when a feature is missing here.

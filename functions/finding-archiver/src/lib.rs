//! `finding-archiver`.

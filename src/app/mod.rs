//! Builds every part and joins them; the only module that names them all.

pub mod demo;

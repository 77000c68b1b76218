//! The archive on a real Postgres.

mod append;
mod embedded;
mod faults;
mod people;
mod projections;
mod roles;

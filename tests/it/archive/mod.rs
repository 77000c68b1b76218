//! The archive on a real Postgres.

mod append;
mod background;
mod disposal;
mod embedded;
mod faults;
mod people;
mod projections;
mod publish;
mod roles;
mod tampering;

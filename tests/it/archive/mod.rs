//! The archive on a real Postgres.

mod append;
mod as_of;
mod attribution;
mod background;
mod begin;
mod compare;
mod credentials;
mod disposal;
mod embedded;
mod faults;
mod filters;
mod follow;
mod forged;
mod holds;
mod large;
mod live;
mod orders;
mod people;
mod projections;
mod publish;
mod recent;
mod roles;
mod silence;
mod stolen;
mod tampering;
mod unreadable;

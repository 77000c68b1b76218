//! Laws of the ledger, checked against definitions, other implementations and random input.

mod checkpoint;
mod entry;
mod proof;
mod reference;
mod tile;
mod witness;

//! Evidence: formats, dumps, disclosures, and the two verifiers against each other. No database: everything here is made by
//! the pure modules, as the archive makes it.

mod agreement;
mod bundle;
mod disclosure;
mod dump;
mod format_document;
mod lean;
mod ledger;
mod promises;
mod psql;
mod python;
mod shapes;
mod vectors;

//! `muniment witness`.

use std::path::PathBuf;

use clap::Subcommand;

/// A witness's commands. Its settings are a file of its own.
#[derive(Debug, Subcommand)]
pub enum Witness {
    /// Make key and state, and settings to begin with; print the verifier key to publish
    ///
    /// Run again it changes nothing and prints the same key. A key whose state is gone is refused: it may have cosigned.
    #[command(after_help = "Example:\n  muniment witness init --name witness.auditor.example/w1 witness/witness.toml")]
    Init {
        /// Name of the witness, part of its key: an address that is yours, without a scheme
        #[arg(long)]
        name: String,
        /// Its settings file, made where there is none
        file: PathBuf,
    },
    /// Print the verifier key
    Key {
        /// Its settings file
        file: PathBuf,
    },
    /// Serve: cosign whatever checkpoint continues the one before (C2SP tlog-witness)
    ///
    /// A cosignature leaves only when what it says is durable. What contradicts a checkpoint that the log signed before is not cosigned, and kept
    /// under evidence/.
    #[command(after_help = "Example:\n  muniment witness run witness/witness.toml")]
    Run {
        /// Its settings file
        file: PathBuf,
    },
}

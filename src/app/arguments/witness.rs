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
    /// Read a whole log and attest that no stream of it forks
    ///
    /// Reads every entry since the last audit over the log's API (MUNIMENT_TOKEN: an officer's token with the role auditor), checks leaf, chain, times,
    /// tree, and that no two entries have the same place in one stream or source, and prints an attestation signed with this witness's key, for
    /// `muniment-verify bundle --attestation`. Exit code 3 when the log does not hold.
    #[command(
        after_help = "Examples:\n  MUNIMENT_TOKEN=… muniment witness audit witness/witness.toml > attestation\n  \
        MUNIMENT_TOKEN=… muniment witness audit --checkpoint bundle/proofs/checkpoint witness/witness.toml   # for a bundle at hand"
    )]
    Audit {
        /// Its settings file, with the log's `url`
        file: PathBuf,
        /// Which log, where several have a `url`: its origin
        #[arg(long)]
        log: Option<String>,
        /// Attest at this checkpoint; the newest where none is given
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
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

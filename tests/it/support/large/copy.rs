//! Rows in Postgres' binary form of `copy`.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TEXT: u32 = 25;
const BYTEA: u32 = 17;

/// Rows of one table.
#[derive(Default)]
struct Rows(Vec<u8>);

impl Rows {
    fn row(&mut self, columns: u16) -> &mut Self {
        self.0.extend_from_slice(&columns.to_be_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_be_bytes())
    }

    fn array<'a>(&mut self, of: u32, items: impl ExactSizeIterator<Item = &'a [u8]>) -> &mut Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        for word in [1, 0, of, u32::try_from(items.len()).unwrap(), 1] {
            self.0.extend_from_slice(&word.to_be_bytes());
        }
        for item in items {
            self.bytes(item);
        }
        let size = u32::try_from(self.0.len() - start - 4).unwrap();
        self.0[start..start + 4].copy_from_slice(&size.to_be_bytes());
        self
    }
}

/// Rows of all tables that a run of entries has.
#[derive(Default)]
pub(super) struct Tables {
    entries: Rows,
    streams: Rows,
    sources: Rows,
    keys: Rows,
    sealed: Rows,
    plain: Rows,
}

impl Tables {
    pub(super) fn entry(&mut self, index: u64, id: Uuid, leaf: &[u8], body: &[u8]) {
        self.entries.row(4).number(index).bytes(id.as_bytes()).bytes(leaf).bytes(body);
    }

    pub(super) fn stream(&mut self, stream: Uuid, stream_index: u64, index: u64) {
        self.streams.row(3).bytes(stream.as_bytes()).number(stream_index).number(index);
    }

    /// The source has counted this far, which is also how many entries there are.
    pub(super) fn source(&mut self, source: Uuid, size: u64) {
        self.sources.row(3).bytes(source.as_bytes()).number(size).number(size - 1);
    }

    pub(super) fn key(&mut self, record: Uuid, index: u64, wrapped: &[u8]) {
        self.keys.row(3).bytes(record.as_bytes()).number(index).bytes(wrapped);
    }

    /// It belongs to a record and commits to nothing.
    pub(super) fn plain(&mut self, record: Uuid, index: u64) {
        self.plain.row(2).bytes(record.as_bytes()).number(index);
    }

    pub(super) fn sealed(&mut self, index: u64, record: Uuid, fields: &[(&str, Vec<u8>)]) {
        let row = self.sealed.row(4).number(index).bytes(record.as_bytes());
        row.array(TEXT, fields.iter().map(|(name, _)| name.as_bytes()));
        row.array(BYTEA, fields.iter().map(|(_, ciphertext)| ciphertext.as_slice()));
    }

    pub(super) async fn send(self, connection: &mut PgConnection) {
        for (table, rows) in [
            ("ledger.entries (index, id, leaf, body)", self.entries),
            ("ledger.stream_entries (stream, stream_index, entry_index)", self.streams),
            ("ledger.sources (source, next_index, entry_index)", self.sources),
            ("content.keys (record, entry_index, wrapped)", self.keys),
            ("content.sealed (entry_index, record, names, ciphertexts)", self.sealed),
            ("ledger.plain_entries (record, entry_index)", self.plain),
        ] {
            let text = format!("copy {table} from stdin (format binary)");
            let mut copying = connection.copy_in_raw(&text).await.unwrap();
            for part in [HEADER, rows.0.as_slice(), &(-1_i16).to_be_bytes()] {
                copying.send(part).await.unwrap();
            }
            copying.finish().await.unwrap();
        }
    }
}

//! Tables that were built before: one Arrow IPC stream a capture and table, beside a record of what it is.
//!
//! ```text
//! CACHE/KEY/events.arrow      KEY: BLAKE3 of the capture's SHA-256, schema, program's version, rules, audit requests
//! CACHE/KEY/complete          the same in words, and length and BLAKE3 of every file: written last
//! ```
//!
//! A cache is never trusted: the key names everything that the tables follow from, `complete` has to say the same, and
//! every file has to have the digest that stands there; anything else is as good as nothing, is said, and is made anew.
//! Tables are written into a folder of another name, which becomes the cache's in one step. Folders that were not used for
//! the longest go when all of them together are larger than [`MAX_BYTES`].

mod store;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use casebook_replay::run::Source;
use serde_json::{Value as Json, json};

use crate::frames::{Capture, Error, Wanted};
use crate::schema::{self, TABLES};

pub(crate) use store::{Keeper, Reader};

/// Bytes of all cached tables together; beyond it the ones that were not used for the longest go.
pub const MAX_BYTES: u64 = 8 << 30;
/// The file that says what a folder holds.
const COMPLETE: &str = "complete";
/// Longest such file.
const MAX_COMPLETE: u64 = 1 << 16;

/// Where tables are kept.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// A cache in a folder, which need not exist.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// `$XDG_CACHE_HOME/casebook/tables`, else below `~/.cache`; `None` where there is no home.
    pub fn usual() -> Option<Self> {
        let caches = match std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
            Some(caches) => caches,
            None => PathBuf::from(std::env::var_os("HOME").filter(|home| !home.is_empty())?).join(".cache"),
        };
        Some(Self::new(caches.join("casebook").join("tables")))
    }

    /// The place of a capture's tables. `rules`: digest of the rules that were asked; `requests`: digest of the requests of
    /// audit logs read along; empty for none.
    pub(crate) fn place(&self, digest: &str, source: &Source, rules: &str, requests: &str) -> Place {
        // A log and a capture of the same bytes are the same bytes; what they are called is put in later.
        let kind = if source.is_log() { "log" } else { "capture" };
        let identity = json!({
            "capture": digest,
            "kind": kind,
            "schema": schema::fingerprint(),
            "program": env!("CARGO_PKG_VERSION"),
            "rules": rules,
            "requests": requests,
        });
        let key = blake3::hash(identity.to_string().as_bytes()).to_hex()[..32].to_owned();
        Place { folder: self.folder.join(&key), cache: self.folder.clone(), identity, key }
    }

    /// Removes what was not used for the longest until the rest is small enough. What cannot be removed stays.
    pub(crate) fn trim(&self) {
        let mut folders: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let used = fs::metadata(path.join(COMPLETE)).and_then(|file| file.modified());
            let files = fs::read_dir(&path).into_iter().flatten().flatten();
            let bytes = files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum();
            folders.push((used.unwrap_or(SystemTime::UNIX_EPOCH), bytes, path));
        }
        folders.sort();
        let mut total: u64 = folders.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in folders {
            if total <= MAX_BYTES {
                break;
            }
            if fs::remove_dir_all(path).is_ok() {
                total -= bytes;
            }
        }
    }
}

/// The place of one capture's tables.
#[derive(Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    cache: PathBuf,
    identity: Json,
    key: String,
}

/// What a place gives.
#[derive(Debug)]
pub(crate) enum Found {
    /// Tables that are there and whole, and what was known of the capture.
    Tables(BTreeMap<&'static str, Reader>, Capture),
    /// Nothing.
    Nothing,
    /// Something that is not what it should be: why.
    Broken(String),
}

/// What `complete` says of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    bytes: u64,
    digest: String,
}

impl Place {
    /// Looks for the wanted tables.
    pub(crate) fn find(&self, wanted: &Wanted) -> Found {
        let told = match self.complete() {
            Ok(Some(told)) => told,
            Ok(None) => return Found::Nothing,
            Err(reason) => return Found::Broken(reason),
        };
        let mut tables = BTreeMap::new();
        let without_rules = self.identity.get("rules").and_then(Json::as_str) == Some("");
        let kept = |name: &str| name != "packets" && !(name == "alerts" && without_rules);
        for table in TABLES.iter().filter(|table| kept(table.name) && wanted.has_table(table.name)) {
            let Some(entry) = entry(&told, table.name) else { return Found::Nothing };
            let path = self.file(table.name);
            match check(&path, &entry) {
                Ok(true) => tables.insert(table.name, Reader::new(path, table)),
                Ok(false) => return Found::Broken(format!("{}.arrow is not what was written", table.name)),
                Err(error) => return Found::Broken(format!("{}.arrow: {error}", table.name)),
            };
        }
        // So that it counts as used; a cache that cannot be written can still be read.
        let _ = File::options()
            .append(true)
            .open(self.folder.join(COMPLETE))
            .and_then(|file| file.set_modified(SystemTime::now()));
        let text = |name: &str| told.get(name).and_then(Json::as_str).map(str::to_owned);
        Found::Tables(tables, Capture { host: text("host"), damage: text("damage"), ..Capture::default() })
    }

    /// Tables that are there already, to be kept when others are added.
    fn complete(&self) -> Result<Option<Json>, String> {
        let path = self.folder.join(COMPLETE);
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
            Ok(file) if file.len() > MAX_COMPLETE => return Err("its record is too long".to_owned()),
            Ok(_) => {}
        }
        let bytes = fs::read(&path).map_err(|error| error.to_string())?;
        let told: Json = serde_json::from_slice(&bytes).map_err(|_| "its record cannot be read".to_owned())?;
        if told.get("identity") != Some(&self.identity) {
            return Err("it is of something else".to_owned());
        }
        Ok(Some(told))
    }

    fn file(&self, table: &str) -> PathBuf {
        self.folder.join(format!("{table}.arrow"))
    }

    /// Begins to write tables.
    pub(crate) fn keep(&self) -> Result<Keeper, Error> {
        fs::create_dir_all(&self.cache)?;
        // Two programs may make the same tables at the same time: each has a folder of its own until it is done.
        let making = self.cache.join(format!("{}.making-{}", self.key, std::process::id()));
        let _ = fs::remove_dir_all(&making);
        fs::create_dir(&making)?;
        Ok(Keeper::new(making))
    }

    /// Puts what was written into its place, beside tables that were there before.
    pub(crate) fn publish(&self, keeper: Keeper, capture: &Capture) -> Result<(), Error> {
        let (making, mut entries) = keeper.finish()?;
        if let Ok(Some(told)) = self.complete() {
            for table in TABLES {
                if !entries.contains_key(table.name)
                    && let Some(entry) = entry(&told, table.name)
                    && check(&self.file(table.name), &entry).unwrap_or(false)
                    && fs::hard_link(self.file(table.name), making.join(format!("{}.arrow", table.name))).is_ok()
                {
                    entries.insert(table.name, entry);
                }
            }
        }
        let tables: serde_json::Map<String, Json> = entries
            .into_iter()
            .map(|(name, Entry { bytes, digest })| (name.to_owned(), json!({ "bytes": bytes, "blake3": digest })))
            .collect();
        let record = json!({
            "identity": self.identity,
            "host": capture.host,
            "damage": capture.damage,
            "tables": tables,
        });
        let mut file = BufWriter::new(File::create(making.join(COMPLETE))?);
        file.write_all(record.to_string().as_bytes())?;
        file.flush()?;
        // A folder cannot be replaced in one step where there is one: what was there goes first. Whoever reads it now
        // has its files open.
        let _ = fs::remove_dir_all(&self.folder);
        let moved = fs::rename(&making, &self.folder);
        if moved.is_err() {
            let _ = fs::remove_dir_all(&making);
        }
        Ok(moved?)
    }
}

fn entry(told: &Json, table: &str) -> Option<Entry> {
    let told = told.get("tables")?.get(table)?;
    Some(Entry { bytes: told.get("bytes")?.as_u64()?, digest: told.get("blake3")?.as_str()?.to_owned() })
}

/// Whether a file is the one that was written.
fn check(path: &Path, entry: &Entry) -> io::Result<bool> {
    let file = File::open(path)?;
    if file.metadata()?.len() != entry.bytes {
        return Ok(false);
    }
    let mut hash = blake3::Hasher::new();
    hash.update_reader(BufReader::with_capacity(1 << 20, file))?;
    Ok(hash.finalize().to_hex().as_str() == entry.digest)
}

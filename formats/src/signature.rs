//! Signatures in the file format of minisign: Ed25519 over the BLAKE2b-512 of a file, in a small text file beside it.
//!
//! The public `minisign` tool checks what is signed here, and what it signs is checked here. The whole file is signed, byte
//! for byte, whatever it is; the *trusted comment* of the signature is signed with it. Keys and signatures are those of the
//! crate `minisign`, by the author of the format; this module keeps hostile texts away from it and hashes while the file
//! is read for other purposes, so that a pipe can be checked too.

use std::io::{Cursor, Read};

use blake2::{Blake2b512, Digest as _};
use ct_codecs::{Base64, Decoder as _};
use minisign::{KeyPair, SecretKeyBox, SignatureBox};

/// BLAKE2b-512 of the bytes that are signed, in the making.
pub type Hasher = Blake2b512;

/// Longest key or signature file that is looked at.
pub const MAX_FILE: u64 = 64 << 10;

/// Characters of the second line of a signature (74 bytes), and of the fourth (64 bytes).
const LINES: (usize, usize) = (100, 88);

/// Bytes of a secret key, and of the checksum at its end.
const SECRET_LEN: usize = 158;
const CHECKSUM_LEN: usize = 32;

/// Why a key or a signature cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// No public key of minisign.
    #[error("no public key of minisign: expected 56 characters of base64 that begin with RW, alone or in a .pub file")]
    PublicKey,
    /// No secret key of minisign.
    #[error("no secret key of minisign")]
    SecretKey,
    /// The secret key needs a password.
    #[error("the secret key is encrypted and needs its password")]
    Encrypted,
    /// Wrong password, or a damaged key.
    #[error("wrong password for this secret key, or the key file is damaged")]
    Password,
    /// The signing itself failed.
    #[error("cannot sign: {0}")]
    Failed(String),
}

/// A public key.
#[derive(Clone, Debug)]
pub struct PublicKey(minisign::PublicKey);

/// A secret key, ready to sign.
pub struct SecretKey(minisign::SecretKey);

/// A signature file that has its form.
pub struct Signature {
    inner: SignatureBox,
    text: String,
}

/// What a signature is worth for a file and a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Made by this key over these bytes. With the trusted comment.
    Good(String),
    /// It names this key and does not fit: the file was changed, or the signature.
    Bad,
    /// Made by another key; its id.
    Foreign(String),
}

impl PublicKey {
    /// From a public key file's text, or the key alone as base64.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let line = text.lines().map(str::trim).find(|line| line.len() == 56 && line.starts_with("RW"));
        let key = line.and_then(|line| minisign::PublicKey::from_base64(line).ok());
        key.map(Self).ok_or(SignError::PublicKey)
    }

    /// Its id, as minisign prints it.
    pub fn id(&self) -> String {
        id(self.0.keynum())
    }

    /// As base64, for one line.
    pub fn base64(&self) -> String {
        self.0.to_base64()
    }

    /// The text of a public key file.
    pub fn to_file(&self) -> String {
        format!("untrusted comment: minisign public key {}\n{}\n", self.id(), self.base64())
    }
}

/// minisign shows the eight bytes as one little-endian number.
fn id(keynum: &[u8]) -> String {
    format!("{:016X}", keynum.iter().rev().fold(0_u64, |id, &byte| id << 8 | u64::from(byte)))
}

impl SecretKey {
    /// Whether the text of a secret key file needs a password.
    pub fn is_encrypted(text: &str) -> Result<bool, SignError> {
        match Self::parse(text, None) {
            Ok(_) => Ok(false),
            Err(SignError::Encrypted) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// From the text of a secret key file. With a password this takes the time and memory that the key asks for (a
    /// second or more, up to 1 GiB: that makes passwords hard to guess).
    pub fn parse(text: &str, password: Option<&str>) -> Result<Self, SignError> {
        let line = text.lines().nth(1).map(str::trim).unwrap_or_default();
        let bytes = Base64::decode_to_vec(line, None).unwrap_or_default();
        if bytes.len() != SECRET_LEN || !bytes.starts_with(b"Ed") {
            return Err(SignError::SecretKey);
        }
        let failed = |_| SignError::Password;
        // The third and fourth byte name the key derivation: without one there is no password.
        if bytes[2..4] != [0, 0] {
            let password = password.ok_or(SignError::Encrypted)?;
            let key = SecretKeyBox::from(text.to_owned()).into_secret_key(Some(password.to_owned()));
            return key.map(Self).map_err(failed);
        }
        // minisign leaves the checksum of a key without password empty, which the crate takes for damage.
        let key = if bytes[SECRET_LEN - CHECKSUM_LEN..].iter().all(|&byte| byte == 0) {
            minisign::SecretKey::from_bytes(&bytes)
        } else {
            SecretKeyBox::from(text.to_owned()).into_unencrypted_secret_key()
        };
        key.map(Self).map_err(failed)
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> Result<PublicKey, SignError> {
        minisign::PublicKey::from_secret_key(&self.0)
            .map(PublicKey)
            .map_err(|error| SignError::Failed(error.to_string()))
    }

    /// Signs bytes and a trusted comment (one line); the text of the signature file. Ed25519 with fresh randomness, as
    /// minisign does: two signatures of the same bytes differ.
    pub fn sign(&self, bytes: impl Read, trusted_comment: &str) -> Result<String, SignError> {
        let untrusted = format!("signature of casebook, key {}", self.public()?.id());
        let comment: String =
            trusted_comment.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
        let signed = minisign::sign(None, &self.0, bytes, Some(comment.trim()), Some(&untrusted));
        signed.map(SignatureBox::into_string).map_err(|error| SignError::Failed(error.to_string()))
    }
}

/// A new pair: the texts of the secret and of the public key file. Without a password the secret key is not encrypted.
pub fn new_key(password: Option<&str>) -> Result<(String, PublicKey), SignError> {
    let failed = |error: minisign::PError| SignError::Failed(error.to_string());
    let (pair, comment) = match password {
        Some(password) => {
            (KeyPair::generate_encrypted_keypair(Some(password.to_owned())), "minisign encrypted secret key")
        }
        None => (KeyPair::generate_unencrypted_keypair(), "minisign unencrypted secret key"),
    };
    let pair = pair.map_err(failed)?;
    let secret = pair.sk.to_box(Some(comment)).map_err(failed)?;
    Ok((secret.into_string(), PublicKey(pair.pk)))
}

impl Signature {
    /// From the text of a signature file; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (_, second, _, fourth) = (lines.next()?, lines.next()?, lines.next()?, lines.next()?);
        // The crate takes lengths for granted here.
        if (second.trim().len(), fourth.trim().len()) != LINES {
            return None;
        }
        Some(Self { inner: SignatureBox::from_string(text).ok()?, text: text.to_owned() })
    }

    /// Old signatures are over the bytes themselves and not over their hash.
    pub fn is_legacy(&self) -> bool {
        !self.inner.is_prehashed()
    }

    /// Id of the key that made it, as it says.
    pub fn key_id(&self) -> String {
        id(self.inner.keynum())
    }

    /// Checks it against the hash of the signed bytes.
    pub fn check(&self, key: &PublicKey, hash: Hasher) -> Verdict {
        // A signature over a hash is one of the old kind over the bytes of the hash; `ED` and `Ed` are `RU` and `RW` in
        // base64. Said that way, the crate does not ask for the file again.
        let line = self.text.lines().nth(1).map(str::trim).unwrap_or_default();
        let old = line.strip_prefix("RU").map(|rest| self.text.replacen(line, &format!("RW{rest}"), 1));
        match old.and_then(|text| SignatureBox::from_string(&text).ok()) {
            Some(old) => self.judge(key, &old, &hash.finalize()),
            None => Verdict::Bad,
        }
    }

    /// Checks one of the old kind against the signed bytes.
    pub fn check_legacy(&self, key: &PublicKey, bytes: &[u8]) -> Verdict {
        self.judge(key, &self.inner, bytes)
    }

    fn judge(&self, key: &PublicKey, inner: &SignatureBox, bytes: &[u8]) -> Verdict {
        if self.inner.keynum() != key.0.keynum() {
            return Verdict::Foreign(self.key_id());
        }
        match minisign::verify(&key.0, inner, Cursor::new(bytes), true, false, true) {
            Ok(()) => Verdict::Good(inner.trusted_comment().unwrap_or_default()),
            Err(_) => Verdict::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failed step fails the test

    use super::*;

    fn hash(bytes: &[u8]) -> Hasher {
        Hasher::new_with_prefix(bytes)
    }

    #[test]
    fn what_was_signed_is_recognised() {
        let (secret, public) = new_key(None).unwrap();
        assert!(!SecretKey::is_encrypted(&secret).unwrap());
        let key = SecretKey::parse(&secret, None).unwrap();
        assert_eq!(key.public().unwrap().base64(), public.base64());
        let text = key.sign(&b"evidence"[..], "case 7\tsha256:00\nuntrusted").unwrap();
        let signature = Signature::parse(&text).unwrap();
        assert!(!signature.is_legacy());
        assert_eq!(signature.key_id(), public.id());
        assert_eq!(signature.check(&public, hash(b"evidence")), Verdict::Good("case 7\tsha256:00 untrusted".into()));
        assert_eq!(signature.check(&public, hash(b"evidencE")), Verdict::Bad);
        let changed = Signature::parse(&text.replace("case 7", "case 8")).unwrap();
        assert_eq!(changed.check(&public, hash(b"evidence")), Verdict::Bad);
        let (_, other) = new_key(None).unwrap();
        assert_eq!(signature.check(&other, hash(b"evidence")), Verdict::Foreign(public.id()));
        assert_eq!(PublicKey::parse(&public.to_file()).unwrap().id(), public.id());
    }

    #[test]
    fn passwords_open_encrypted_keys() {
        let (secret, public) = new_key(Some("correct horse")).unwrap();
        assert!(SecretKey::is_encrypted(&secret).unwrap());
        assert!(matches!(SecretKey::parse(&secret, Some("wrong")), Err(SignError::Password)));
        let key = SecretKey::parse(&secret, Some("correct horse")).unwrap();
        assert_eq!(key.public().unwrap().base64(), public.base64());
    }

    #[test]
    fn garbage_is_refused() {
        let (secret, public) = new_key(None).unwrap();
        let text = SecretKey::parse(&secret, None).unwrap().sign(&b""[..], "").unwrap();
        for at in 0..text.len() - 1 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            // Only the untrusted comment may change without harm.
            let first = text.lines().next().unwrap().len();
            let verdict = Signature::parse(&changed).map(|signature| signature.check(&public, hash(b"")));
            assert!(at <= first || !matches!(verdict, Some(Verdict::Good(_))), "byte {at}");
        }
        for part in 0..text.len() {
            let _ = Signature::parse(&text[..part]).map(|signature| signature.check(&public, hash(b"")));
            let _ = PublicKey::parse(&text[..part]);
            assert!(SecretKey::parse(&text[..part], None).is_err());
        }
        for part in 0..secret.len() - 2 {
            assert!(SecretKey::parse(&secret[..part], None).is_err());
        }
    }
}

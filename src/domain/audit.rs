//! The registers' chain: every entry is sealed with a hash over itself and the
//! entry before it, so that nothing can be changed, taken out, put in or moved
//! without breaking every hash that follows.

use crate::{PersonId, SiteId, Timestamp};
use sha2::{Digest as _, Sha256};

/// What somebody did, or what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who, if it was a person.
    pub actor: Option<PersonId>,
    /// In which site, if in one.
    pub site_id: Option<SiteId>,
    /// What: `camera.update`, `session.refused`, `viewing.begin`, …
    pub action: String,
    /// To what: an id, or a word.
    pub object: String,
    /// How, as JSON; never a secret.
    pub detail: String,
}

/// SHA-256 over an entry, its number and the hash before it.
pub type Hash = [u8; 32];

/// The hash before the first entry.
pub const GENESIS: Hash = [0; 32];

/// An entry at its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number: 1, 2, 3, … without a gap.
    pub seq: i64,
    /// The entry.
    pub entry: Entry,
    /// Its hash.
    pub hash: Hash,
}

/// The end of the chain: what is published, so that a cut can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The newest entry's number; 0 while there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A number is missing or there twice.
    #[error("after entry {0} comes entry {1}: something was taken out, put in or moved")]
    Gap(i64, i64),
    /// An entry is not what it was.
    #[error("entry {0} was changed, or one before it")]
    Changed(i64),
    /// The chain is shorter than it was.
    #[error("the chain ends at entry {0}, but entry {1} was published: the end was cut off")]
    Cut(i64, i64),
    /// The published head is not in the chain.
    #[error("entry {0} is not the one that was published: the chain was written anew")]
    Rewritten(i64),
}

/// The hash of an entry. Every field is preceded by its length, so that no two
/// entries have the same bytes.
#[must_use]
pub fn seal(seq: i64, entry: &Entry, before: &Hash) -> Hash {
    let mut hash = Sha256::new();
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    field(before);
    field(&seq.to_be_bytes());
    field(&entry.at.0.to_be_bytes());
    // A missing actor is not the same as an empty one.
    for text in [entry.actor.as_ref().map(PersonId::as_str), entry.site_id.as_ref().map(SiteId::as_str)] {
        field(&[u8::from(text.is_some())]);
        field(text.unwrap_or_default().as_bytes());
    }
    field(entry.action.as_bytes());
    field(entry.object.as_bytes());
    field(entry.detail.as_bytes());
    hash.finalize().into()
}

/// Walks along a chain.
#[derive(Clone, Debug)]
pub struct Verifier {
    head: Head,
    published: Vec<Head>,
}

impl Verifier {
    /// A walk from the beginning. `published` are heads that were noted elsewhere.
    #[must_use]
    pub fn new(published: Vec<Head>) -> Self {
        Self { head: Head { seq: 0, hash: GENESIS }, published }
    }

    /// Takes the next entry.
    pub fn next(&mut self, link: &Link) -> Result<(), Broken> {
        if link.seq != self.head.seq + 1 {
            return Err(Broken::Gap(self.head.seq, link.seq));
        }
        if link.hash != seal(link.seq, &link.entry, &self.head.hash) {
            return Err(Broken::Changed(link.seq));
        }
        self.head = Head { seq: link.seq, hash: link.hash };
        if self.published.iter().any(|head| head.seq == link.seq && head.hash != link.hash) {
            return Err(Broken::Rewritten(link.seq));
        }
        Ok(())
    }

    /// The end of the walk.
    pub fn finish(self) -> Result<Head, Broken> {
        match self.published.iter().map(|head| head.seq).max() {
            Some(published) if published > self.head.seq => Err(Broken::Cut(self.head.seq, published)),
            _ => Ok(self.head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: i64) -> Vec<Link> {
        let mut before = GENESIS;
        (1..=length)
            .map(|seq| {
                let entry = Entry {
                    at: Timestamp(seq * 1_000),
                    actor: (seq % 2 == 0).then(|| PersonId::from_random([7; 16])),
                    site_id: None,
                    action: "camera.update".into(),
                    object: format!("camera-{seq}"),
                    detail: "{}".into(),
                };
                before = seal(seq, &entry, &before);
                Link { seq, entry, hash: before }
            })
            .collect()
    }

    fn verify(chain: &[Link], published: Vec<Head>) -> Result<Head, Broken> {
        let mut verifier = Verifier::new(published);
        chain.iter().try_for_each(|link| verifier.next(link))?;
        verifier.finish()
    }

    fn head(link: &Link) -> Head {
        Head { seq: link.seq, hash: link.hash }
    }

    #[test]
    fn an_honest_chain_is_whole() {
        let chain = chain(20);
        assert_eq!(verify(&chain, vec![head(&chain[9]), head(&chain[19])]), Ok(head(&chain[19])));
        assert_eq!(verify(&[], vec![]), Ok(Head { seq: 0, hash: GENESIS }));
    }

    #[test]
    fn every_kind_of_tampering_is_found() {
        let honest = chain(20);
        let published = vec![head(&honest[19])];
        let found = |change: &dyn Fn(&mut Vec<Link>)| {
            let mut chain = honest.clone();
            change(&mut chain);
            verify(&chain, published.clone()).unwrap_err()
        };
        assert_eq!(found(&|c| c[4].entry.object.push('x')), Broken::Changed(5));
        assert_eq!(found(&|c| c[4].entry.at.0 += 1), Broken::Changed(5));
        assert_eq!(found(&|c| c[5].entry.actor = None), Broken::Changed(6));
        assert_eq!(found(&|c| c[4].hash[0] ^= 1), Broken::Changed(5));
    }

    #[test]
    fn rows_taken_out_put_in_moved_or_cut_off_are_found() {
        let honest = chain(20);
        let published = vec![head(&honest[19])];
        let found = |chain: Vec<Link>| verify(&chain, published.clone()).unwrap_err();
        let mut out = honest.clone();
        out.remove(7);
        assert_eq!(found(out), Broken::Gap(7, 9));
        let mut twice = honest.clone();
        twice.insert(7, honest[7].clone());
        assert_eq!(found(twice), Broken::Gap(8, 8));
        let mut moved = honest.clone();
        moved.swap(3, 4);
        assert_eq!(found(moved), Broken::Gap(3, 5));
        assert_eq!(found(honest[..15].to_vec()), Broken::Cut(15, 20));
        // Whoever can write can also seal anew: the published head tells.
        let mut rewritten = honest;
        rewritten[10].entry.object = "another".into();
        let mut before = rewritten[9].hash;
        for link in &mut rewritten[10..] {
            link.hash = seal(link.seq, &link.entry, &before);
            before = link.hash;
        }
        assert_eq!(found(rewritten), Broken::Rewritten(20));
    }

    #[test]
    fn fields_cannot_be_shifted_into_each_other() {
        let entry = |action: &str, object: &str| Entry {
            at: Timestamp(1),
            actor: None,
            site_id: None,
            action: action.into(),
            object: object.into(),
            detail: String::new(),
        };
        assert_ne!(seal(1, &entry("ab", "c"), &GENESIS), seal(1, &entry("a", "bc"), &GENESIS));
    }
}

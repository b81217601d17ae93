//! Patches replayed in memory, for whoever looks at a view: what E07 asks about.
//!
//! Invariant: what a patch made is held here up to a cap and stored nowhere. Forgotten, it can be made again.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use git::apply::{self, ApplyError};
use git::object::Object;
use git::store::{Objects, Over, ReadError};
use hooks::{Patched, Undecided};
use notes_schema::Oid;

/// Most bytes that are inflated, read and hashed for the patches that one push brings.
/// Limit: bytes inflated, read and hashed to search and replay the patches of one push | {:bytes}; the records left
/// over are refused until the next push
pub const OF_ONE_PUSH: u64 = 1 << 30;
/// Most bytes of objects that are held.
/// Limit: objects made by patches that are held for one push | {:bytes}; what is forgotten is made again
const HELD: usize = 128 << 20;

/// Where patches are replayed.
pub(super) struct Bench {
    made: RefCell<HashMap<Oid, Object>>,
    held: Cell<usize>,
    left: Cell<u64>,
}

impl Bench {
    /// One on which at most `left` bytes are inflated, read and hashed.
    pub(super) fn within(left: u64) -> Bench {
        Bench { made: RefCell::default(), held: Cell::new(0), left: Cell::new(left) }
    }

    /// Looks at `objects` together with what was made.
    pub(super) fn over<T>(&self, objects: &dyn Objects, look: impl FnOnce(&Over<'_, HashMap<Oid, Object>>) -> T) -> T {
        look(&Over { made: &*self.made.borrow(), below: objects })
    }

    /// Takes off the work of inflating and searching so many bytes.
    pub(super) fn spend(&self, bytes: u64) -> Result<(), Undecided> {
        self.left.set(self.left.get().checked_sub(bytes).ok_or_else(spent)?);
        Ok(())
    }

    /// What `patch` makes of `tree`.
    pub(super) fn patched(
        &self,
        objects: &dyn Objects,
        tree: Oid,
        patch: &[u8],
        room: &mut u64,
    ) -> Result<Patched, Undecided> {
        let left = self.left.get();
        let allowed = left.min(*room);
        let mut rest = allowed;
        let applied = self.over(objects, |over| apply::apply(over, tree, patch, &mut rest));
        *room -= allowed - rest;
        self.left.set(left - (allowed - rest));
        let why = match applied {
            Ok(applied) => {
                let shown = |path: Vec<u8>| String::from_utf8_lossy(&path).into_owned();
                let paths = applied.paths.into_iter().map(shown).collect();
                self.keep(applied.made);
                return Ok(Patched::Tree(applied.tree, paths));
            }
            Err(ApplyError::TooMuch) if allowed < *room + (allowed - rest) => {
                return Err(spent());
            }
            Err(ApplyError::TooMuch) => return Ok(Patched::TooMuch),
            Err(ApplyError::Read(ReadError::Missing(id))) => {
                return Ok(Patched::Missing(format!("object {id}, on which its patch rests, is not here")));
            }
            Err(ApplyError::Read(error @ ReadError::Store { .. })) => return Err(Undecided(error.to_string())),
            Err(error) => error.to_string(),
        };
        Ok(Patched::Unfit(why))
    }

    fn keep(&self, made: Vec<(Oid, Object)>) {
        let bytes: usize = made.iter().map(|(_, object)| object.data.len()).sum();
        let mut held = self.made.borrow_mut();
        if self.held.get() + bytes > HELD {
            held.clear();
            self.held.set(0);
        }
        self.held.set(self.held.get() + bytes);
        held.extend(made);
    }
}

fn spent() -> Undecided {
    let most = OF_ONE_PUSH >> 20;
    Undecided(format!("the patches of one push may take {most} MiB of work, which those before this one have taken"))
}

#[cfg(test)]
mod tests {
    use git::object::{Kind, Mode, TreeEntry, tree};

    use super::*;

    struct Nothing;

    impl Objects for Nothing {
        fn get(&self, id: Oid) -> Result<Object, ReadError> {
            Err(ReadError::Missing(id))
        }
        fn contains(&self, _: Oid) -> bool {
            false
        }
    }

    /// A file of one line, the tree that holds it, and the patch to it from the file of another.
    fn file(line: &str) -> (Object, Object) {
        let blob = Object::new(Kind::Blob, format!("{line}\n").into_bytes());
        let id = blob.id().unwrap();
        (blob, tree(vec![TreeEntry { mode: Mode::File, name: b"file".to_vec(), id }]))
    }

    fn patch(from: &str, to: &str) -> String {
        let id = |line: &str| file(line).0.id().unwrap();
        format!(
            "diff --git a/file b/file\nindex {}..{} 100644\n--- a/file\n+++ b/file\n@@ -1 +1 @@\n-{from}\n+{to}\n",
            id(from),
            id(to)
        )
    }

    #[test]
    fn what_was_made_is_built_upon_and_one_push_has_an_end() {
        let (blob, one) = file("one");
        let there = HashMap::from([(blob.id().unwrap(), blob), (one.id().unwrap(), one.clone())]);
        let objects = Over { made: &there, below: &Nothing };
        let tree = |line: &str| file(line).1.id().unwrap();
        let bench = Bench::within(u64::MAX);
        let ask = |bench: &Bench, from: &str, to: &str, mut room: u64| {
            bench.patched(&objects, tree(from), patch(from, to).as_bytes(), &mut room)
        };
        let made = |line: &str| Ok(Patched::Tree(tree(line), vec!["file".to_owned()]));
        assert!(matches!(ask(&bench, "two", "three", 1 << 20), Ok(Patched::Missing(_))));
        assert_eq!(ask(&bench, "one", "two", 1 << 20), made("two"));
        assert_eq!(ask(&bench, "two", "three", 1 << 20), made("three"), "two is nowhere but here");
        assert_eq!(ask(&bench, "one", "two", 10), Ok(Patched::TooMuch));
        // Enough for one: a file of four bytes and its tree, read and made.
        let small = Bench::within(100);
        assert_eq!(ask(&small, "one", "two", 1 << 20), made("two"));
        let why = ask(&small, "one", "two", 1 << 20).unwrap_err();
        assert!(why.0.contains("patches of one push"), "{why}");
        assert!(Bench::within(100).spend(100).is_ok() && Bench::within(100).spend(101).is_err());
        let other = bench.patched(&objects, tree("one"), patch("two", "three").as_bytes(), &mut (1 << 20));
        assert!(matches!(other, Ok(Patched::Unfit(why)) if why.starts_with("at `file` the tree has")));
    }
}

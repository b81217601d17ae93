//! What a start reads instead of replaying: whatever becomes of it, every answer is the same bytes.

use std::fs;

use tests::flow;
use tests::plumbing::{copy_tree, flip_byte};

use crate::mirror::{feeds, lived_in, verify};

#[test]
fn a_server_answers_the_same_bytes_with_its_checkpoints_with_old_or_damaged_ones_and_without() {
    let (mut forge, agents) = lived_in();
    for k in 0..12 {
        flow::open_issue(&agents[2], "parser", &format!("Before the first stop {k}"));
    }
    assert_eq!(forge.stop(), 0);
    let (kept, old) = (forge.data().join("checkpoints"), forge.scratch().join("old-checkpoints"));
    assert!(kept.join("parser").exists(), "a polite stop writes one");
    copy_tree(&kept, &old);
    forge.up();
    for k in 0..20 {
        flow::open_issue(&agents[0], "parser", &format!("After it {k}"));
    }
    flow::land(&agents[0], &agents[1], "parser", "c.txt", "c\n");
    let rebuilt = |forge: &tests::Forge| forge.log().matches("rebuilding the index project=parser").count();
    let rebuilt_before = rebuilt(&forge);
    let newest = flow::open_issue(&agents[0], "parser", "Written a moment before the kill");

    // Killed: checkpoint and index are of before, and the tail of after.
    forge.kill();
    forge.up();
    let served = feeds(&forge, &agents);
    agents[1].at(&forge).ssh("search moment before").ok().says(&newest);
    assert_eq!(rebuilt(&forge), rebuilt_before, "only what changed is indexed again");
    assert_eq!(forge.stop(), 0);
    assert_ne!(fs::read(kept.join("parser")).unwrap(), fs::read(old.join("parser")).unwrap());
    forge.up();
    assert_eq!(feeds(&forge, &agents), served);

    // Stale, as a copy of the data directory may have them.
    forge.kill();
    fs::remove_dir_all(&kept).unwrap();
    copy_tree(&old, &kept);
    forge.up();
    assert_eq!(feeds(&forge, &agents), served);

    assert_eq!(forge.stop(), 0);
    let newest = kept.join("parser");
    flip_byte(&newest, fs::metadata(&newest).unwrap().len() as usize / 2);
    forge.up();
    assert_eq!(feeds(&forge, &agents), served);
    assert!(forge.log().contains("the checkpoint is not believed"), "{}", forge.log());

    // Another project's, and nobody's.
    forge.kill();
    fs::copy(old.join("parser"), kept.join("lexer")).unwrap();
    fs::write(kept.join("parser"), "no checkpoint").unwrap();
    forge.up();
    assert_eq!(feeds(&forge, &agents), served);

    forge.kill();
    fs::remove_dir_all(&kept).unwrap();
    fs::remove_dir_all(forge.data().join("index")).unwrap();
    forge.up();
    assert_eq!(feeds(&forge, &agents), served);
    assert_eq!(forge.stop(), 0);
    verify(forge.data()).ok();
}

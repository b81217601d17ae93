//! `forge backup` of a running forge, and `forge restore`: some acknowledged moment of it, whole, secrets included.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::flow;
use tests::plumbing::{self, flip_byte};
use tests::{Forge, Out, tool};

use super::follow::{Moments, mirror_once};
use super::mirror::{feeds, lived_in, verify};

fn backup(forge: &Forge, to: &Path) -> Out {
    tool(&["backup", to.to_str().unwrap(), "--data", forge.data().to_str().unwrap()])
}

fn restore(from: &Path, data: &Path) -> Out {
    tool(&["restore", from.to_str().unwrap(), "--data", data.to_str().unwrap()])
}

/// The command that a refusal names, run as it stands.
#[track_caller]
fn run_next(forge: &Forge, out: &Out) -> Out {
    let said = out.all();
    let next = said.lines().find_map(|line| line.split_once("next: ")).unwrap_or_else(|| panic!("no next: {out}")).1;
    forge.stranger("operator").sh(forge.scratch(), next)
}

#[test]
fn a_restored_backup_has_every_ref_feed_and_secret() {
    let (mut forge, agents) = lived_in();
    let token = agents[0].token("");
    let data = forge.scratch().join("restored");
    let refs = |forge: &Forge| {
        let url = |project: &String| forge.http_url(&format!("/{project}"));
        let list = |project: &String| agents[0].git(forge.scratch(), &["ls-remote", &url(project)]).ok();
        forge.projects().iter().map(|project| list(project).stdout).collect::<Vec<_>>()
    };
    // Notes are written a moment behind; the backup is of whichever moment stayed the same around it.
    let mut tries = 0;
    let (saved, before) = loop {
        let saved = forge.scratch().join(format!("saved-{tries}"));
        let before = (refs(&forge), feeds(&forge, &agents));
        backup(&forge, &saved).ok().says("good: 3 repositories").says("ledger parser ");
        if refs(&forge) == before.0 {
            break (saved, before);
        }
        tries += 1;
        assert!(tries < 20, "the forge never stood still");
    };
    assert_eq!(fs::metadata(&saved).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(saved.join("secrets/signing_key")).unwrap().permissions().mode() & 0o777, 0o600);
    verify(&saved).ok();
    // What comes after is not in it.
    flow::open_issue(&agents[0], "parser", "After the backup");
    assert_eq!(forge.stop(), 0);
    restore(&saved, &data).ok().says("next: forge serve --data ");
    let mut second = forge.beside(&data);
    assert_eq!((refs(&second), feeds(&second, &agents)), before);
    // It is the forge itself: tokens are good, and no new key signs.
    let (status, body) = agents[0].at(&second).action(&token, "whoami");
    assert!(status == 200 && body.contains("alpha"), "{status} {body}");
    flow::open_issue(&agents[0].at(&second), "parser", "Goes on");
    assert_eq!(second.stop(), 0);
    verify(&data).ok().says("signed by keys of 1 epochs");
    plumbing::assert_clean(&data.join("repositories/parser.git"));
}

#[test]
fn a_backup_under_load_is_of_one_moment() {
    let (forge, agents) = lived_in();
    let [alpha, beta, gamma] = &agents;
    let enough = AtomicBool::new(false);
    let mut saved = Vec::new();
    std::thread::scope(|scope| {
        let (done, other) = (&enough, &enough);
        scope.spawn(move || {
            for n in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                flow::land(alpha, beta, "parser", &format!("load-{n}.txt"), "x\n");
            }
        });
        scope.spawn(move || {
            while !other.load(Ordering::Relaxed) {
                flow::open_issue(gamma, "lexer", "More of it");
            }
        });
        for n in 0..3 {
            let to = forge.scratch().join(format!("saved-{n}"));
            let out = backup(&forge, &to);
            if !out.is_ok() {
                enough.store(true, Ordering::Relaxed);
            }
            out.ok();
            saved.push(to);
            // A mirror goes round until what repositories cite of each other is here.
            let mirrored = forge.scratch().join(format!("mirrored-{n}"));
            let out = mirror_once(&forge.http_url(""), &mirrored);
            if !out.is_ok() {
                enough.store(true, Ordering::Relaxed);
            }
            out.ok();
            verify(&mirrored).ok().keeps_quiet_about("an older copy");
        }
        enough.store(true, Ordering::Relaxed);
    });
    for (n, saved) in saved.iter().enumerate() {
        verify(saved).ok();
        let data = forge.scratch().join(format!("restored-{n}"));
        restore(saved, &data).ok();
        // A set that is not of one moment would be refused here.
        let mut second = forge.beside(&data);
        alpha.at(&second).ssh("feed").ok().says("parser");
        flow::open_issue(&alpha.at(&second), "parser", "Goes on");
        assert_eq!(second.stop(), 0);
        verify(&data).ok();
    }
}

#[test]
fn repositories_of_different_moments_are_no_backup() {
    let moments = Moments::live();
    let (mixed, saved) = (moments.mixed(&["parser"]), moments.forge.scratch().join("saved"));
    let out = tool(&["backup", saved.to_str().unwrap(), "--data", mixed.to_str().unwrap()]);
    run_next(&moments.forge, &out.exits(1).says("not of one moment").says("forge.git settled its batch")).ok();
    assert!(!saved.exists());
}

#[test]
fn a_doctor_names_what_is_broken_and_each_mend_mends_it() {
    let mut forge = Forge::start();
    // So few connections fit into any machine's open files.
    let settings = forge.scratch().join("few.toml");
    fs::write(&settings, "[limits]\nssh_connections = 8\nhttp_connections = 8\n").unwrap();
    let settings = settings.to_str().unwrap().to_owned();
    let line = |forge: &Forge, http: &str| {
        let data = forge.data().display();
        format!("forge doctor --config {settings} --data {data} --ssh 127.0.0.1:0 --http {http}")
    };
    let doctor = |forge: &Forge| {
        let line = line(forge, "127.0.0.1:0");
        tool(&line.split(' ').skip(1).collect::<Vec<_>>())
    };
    // A running forge has its addresses itself.
    doctor(&forge).ok().says("ok      secrets: 3 files").keeps_quiet_about("address");
    let taken = format!("127.0.0.1:{}", forge.http_port());
    assert_eq!(forge.stop(), 0);
    doctor(&forge).ok().says("ok      forge.git: batch ").says("ok      SSH address");
    let holds = std::net::TcpListener::bind(&taken).unwrap();
    let other = forge.scratch().join("none-yet");
    tool(&["doctor", "--config", &settings, "--data", other.to_str().unwrap()]).ok().says("`forge serve` makes it");
    assert!(!other.exists());
    let operator = forge.stranger("operator");
    let out = operator.sh(forge.scratch(), &line(&forge, &taken));
    run_next(&forge, &out.exits(1).says(&format!("BROKEN  HTTP address: --http {taken}")));
    drop(holds);
    operator.sh(forge.scratch(), &line(&forge, &taken)).ok();
    let free = line(&forge, "127.0.0.1:0");
    let out = operator.sh(forge.scratch(), &format!("ulimit -S -n 256; {free}"));
    run_next(&forge, &out.exits(1).says("BROKEN  open files: 256")).ok();
    let without = format!("forge=$(command -v forge); PATH=/nonexistent $forge {}", &free["forge ".len()..]);
    run_next(&forge, &operator.sh(forge.scratch(), &without).exits(1).says("BROKEN  git: git cannot be run")).ok();

    let secrets = forge.data().join("secrets");
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    type Damage<'a> = (&'a str, &'a dyn Fn());
    let damages: [Damage; 4] = [
        ("secrets: others may look into", &|| open(&secrets)),
        ("secrets: others may look into", &|| open(&secrets.join("token.key"))),
        ("is no key", &|| fs::write(secrets.join("signing_key"), "nonsense").unwrap()),
        ("mirror: ", &|| fs::write(forge.data().join("upstream"), "nonsense").unwrap()),
    ];
    for (why, damage) in damages {
        damage();
        let out = doctor(&forge).exits(1).says("BROKEN  ").says(why);
        run_next(&forge, &out).ok();
        doctor(&forge).ok();
    }
}

#[test]
fn nothing_is_copied_over_anything_and_no_fault_is_copied() {
    let (mut forge, _) = lived_in();
    assert_eq!(forge.stop(), 0);
    let saved = forge.scratch().join("saved");
    backup(&forge, &saved).ok();
    run_next(&forge, &backup(&forge, &saved).exits(1).says("exists")).ok();
    assert!(forge.scratch().join("saved-2/repositories/forge.git").is_dir());
    let restored = forge.scratch().join("restored");
    restore(&saved, &restored).ok();
    run_next(&forge, &restore(&saved, &restored).exits(1).says("exists")).ok();
    let empty = forge.scratch().join("empty");
    fs::create_dir(&empty).unwrap();
    run_next(&forge, &restore(&empty, &forge.scratch().join("x")).exits(1).says("holds no repositories/forge.git"))
        .ok();

    let pack = plumbing::packs(&saved.join("repositories/parser.git"), "pack-").pop().unwrap();
    flip_byte(&pack, 200);
    let out = restore(&saved, &forge.scratch().join("faulty")).exits(1).says("faults, the first: parser");
    run_next(&forge, &out).ok();
    for left in ["faulty", "faulty.partial", "x", "x.partial"] {
        assert!(!forge.scratch().join(left).exists(), "{left}");
    }
}

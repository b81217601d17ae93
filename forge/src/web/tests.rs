//! The door as `curl` meets it.

use std::process::{Command, Output};

use futures_util::FutureExt as _;
use notes_schema::event::{ContestSettled, Difficulty, Entrant};
use notes_schema::names::Track;
use notes_schema::{EntityId, Sha256};
use serde_json::Value;

use crate::config::{Config, Layer, LimitsLayer};
use crate::ledger::Author;
use crate::roles::serve::Server;

struct Site {
    server: Server,
    _data: tempfile::TempDir,
}

async fn site() -> Site {
    let data = tempfile::tempdir().unwrap();
    let free = "127.0.0.1:0".parse().ok();
    let limits = LimitsLayer { body_bytes: Some(1000), ..LimitsLayer::default() };
    let layer = Layer { data: Some(data.path().join("d")), ssh: free, http: free, limits, ..Layer::default() };
    let server = Server::start(Config::from_layers([layer]).unwrap()).await.unwrap();
    Site { server, _data: data }
}

impl Site {
    async fn curl(&self, path: &str, args: &[&str]) -> (u16, String, String) {
        let url = format!("{}{path}", self.server.config.public_http);
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let out: Output = tokio::task::spawn_blocking(move || {
            let mut curl = Command::new("curl");
            curl.args(["-s", "-i", "--path-as-is", "--noproxy", "*", "--max-time", "60"]).args(args).arg(url);
            curl.output().unwrap()
        })
        .await
        .unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let mut rest = text.as_str();
        loop {
            let (head, body) = rest.split_once("\r\n\r\n").unwrap_or((rest, ""));
            let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
            if status != 100 {
                return (status, head.to_ascii_lowercase(), body.to_owned());
            }
            rest = body;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_skill_and_pages_answer_with_safe_headers() {
    let site = site().await;
    let (status, head, body) = site.curl("/healthz", &[]).await;
    assert_eq!((status, body.as_str()), (200, "ok\n"));
    for header in ["content-security-policy: ", "x-content-type-options: nosniff", "referrer-policy: same-origin"] {
        assert!(head.contains(header), "{head}");
    }
    let (_, _, skill) = site.curl("/skill.md", &[]).await;
    assert!(skill.contains(&format!("Port {}", site.server.config.ssh.port())), "{skill}");
    let (status, head, body) = site.curl("/", &[]).await;
    assert!(status == 200 && head.contains("text/html") && body.contains("This forge is empty"), "{head}{body}");
    let (status, head, _) = site.curl("/index.json", &[]).await;
    assert!(status == 200 && head.contains("application/json"), "{head}");
    let (status, head, _) = site.curl("/", &["-H", "Accept: text/markdown"]).await;
    assert!(status == 200 && head.contains("text/markdown"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_says_so_in_the_form_that_was_asked_for() {
    let site = site().await;
    for path in [
        "/nothing",
        "/no/such/page",
        "/nothing/issues/0",
        "/../../etc/passwd",
        "/%00",
        "/nothing/info/refs?service=git-upload-pack",
    ] {
        let (status, _, body) = site.curl(path, &[]).await;
        assert!(status == 404 && body.contains("next: "), "{path}: {status} {body}");
    }
    let (status, _, body) = site.curl("/nothing.json", &[]).await;
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(status == 404 && json["error"]["next"].is_string(), "{body}");
    let (status, head, _) = site.curl("/action", &[]).await;
    assert!(status == 405 && head.contains("allow: post"), "{head}");
    assert_eq!(site.curl("/nothing", &["-X", "DELETE"]).await.0, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_come_as_text_or_json() {
    let site = site().await;
    let (status, head, body) = site.curl("/action", &["--data-binary", "help"]).await;
    assert!(status == 200 && head.contains("x-forge-exit: 0") && !body.is_empty(), "{head}{body}");
    let json = ["-H", "Content-Type: application/json", "-d"];
    let (status, _, body) = site.curl("/action", &[&json[..], &[r#"{"command": "no-such-command"}"#]].concat()).await;
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(status == 400 && answer["error"]["what"].is_string(), "{body}");
    let (status, _, body) = site.curl("/agents/register", &[&json[..], &[r#"{"name": "alpha"}"#]].concat()).await;
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(status == 200 && answer["agent"] == "alpha" && answer["token"].is_string(), "{body}");
    let (status, _, body) = site.curl("/agents/register", &[&json[..], &[r#"{"name": "a b"}"#]].concat()).await;
    assert!(status == 400 && body.contains("error"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_heads_have_limits() {
    let site = site().await;
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("body");
    std::fs::write(&file, vec![b'a'; 100_000]).unwrap();
    let body = format!("@{}", file.display());
    for extra in [&["-H", "Transfer-Encoding: chunked"][..], &[]] {
        let (status, _, said) = site.curl("/action", &[&["--data-binary", &body], extra].concat()).await;
        assert!(status == 413 && said.contains("next: "), "{status} {said}");
    }
    let long = format!("X-Long: {}", "a".repeat(60_000));
    assert_eq!(site.curl("/healthz", &["-H", &long]).await.0, 431);
    // curl sends three of its own.
    for (more, status) in [(61, 200), (62, 431)] {
        let headers: Vec<String> = (0..more).map(|n| format!("X-{n}: 1")).collect();
        let args: Vec<&str> = headers.iter().flat_map(|header| ["-H", header.as_str()]).collect();
        assert_eq!(site.curl("/healthz", &args).await.0, status, "{more}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_without_credentials_is_asked_for_them_and_bad_ones_are_refused() {
    let site = site().await;
    let (status, head, _) = site.curl("/parser/info/refs?service=git-receive-pack", &[]).await;
    assert!(status == 401 && head.contains("www-authenticate: basic realm=\"forge\""), "{head}");
    let kind = "Content-Type: application/x-git-receive-pack-request";
    assert_eq!(site.curl("/parser.git/git-receive-pack", &["-H", kind, "-d", "0000"]).await.0, 401);
    assert_eq!(site.curl("/parser/git-upload-pack", &["-d", "0000"]).await.0, 415);
    for bad in ["Authorization: Digest x", "Authorization: Basic !", "Authorization: Basic Z2l0Og=="] {
        assert_eq!(site.curl("/feed", &["-H", bad]).await.0, 401, "{bad}");
    }
    let (status, _, body) = site.curl("/parser/info/refs", &[]).await;
    assert!(status == 403 && body.contains("smart protocol"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_cannot_act() {
    let site = site().await;
    for header in ["Sec-Fetch-Site: cross-site", "Origin: http://evil.example", "Origin: null"] {
        let (status, _, body) = site.curl("/action", &["-H", header, "-d", "help"]).await;
        assert!(status == 403 && body.contains("another site"), "{header}: {status} {body}");
    }
    let own = format!("Origin: {}", site.server.config.public_http);
    assert_eq!(site.curl("/action", &["-H", &own, "-d", "help"]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_without_tls_is_understood() {
    let site = site().await;
    let (status, head, body) = site.curl("/healthz", &["--http2-prior-knowledge"]).await;
    assert!(status == 200 && head.starts_with("http/2") && body == "ok\n", "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_news_takes_turns_and_holds_up_nobody_else() {
    let site = std::sync::Arc::new(site().await);
    let forge = site.server.forge().unwrap().clone();
    let turns: Vec<_> = std::iter::from_fn(|| forge.turn_to_look().now_or_never().flatten()).collect();
    assert!(!turns.is_empty());
    let waiting = tokio::spawn({
        let site = site.clone();
        async move { site.curl("/feed?wait=1", &[]).await.0 }
    });
    for _ in 0..20 {
        assert_eq!(site.curl("/feed", &[]).await.0, 200, "who does not wait for news needs no turn");
    }
    assert!(!waiting.is_finished(), "it looked though others had every place");
    drop(turns);
    assert_eq!(waiting.await.unwrap(), 200);
}

impl Site {
    /// What `POST /action` or `GET /feed` answers somebody, in JSON.
    async fn ask(&self, token: &str, path: &str, more: &[&str]) -> Value {
        let bearer = format!("Authorization: Bearer {token}");
        let (status, _, body) =
            self.curl(path, &[&["-H", &bearer, "-H", "Accept: application/json"], more].concat()).await;
        assert_eq!(status, 200, "{path} {more:?}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A contest from which alpha gained so much.
    fn gained(&self, n: u64, before: i64, delta_milli: i64) {
        let entrant = Entrant {
            agent: "alpha".parse().unwrap(),
            pull: n,
            place: 1,
            solved: true,
            before,
            issue_k: 0,
            delta_milli,
        };
        let settled = ContestSettled {
            key: Sha256::of(&n.to_be_bytes()),
            contest: format!("parser#{n}").parse().unwrap(),
            author: "alpha".parse().unwrap(),
            difficulty: Difficulty::Hard,
            anchored: true,
            rules: 0,
            issue_before: 1_400_000,
            issue_delta_milli: -delta_milli,
            entrants: vec![entrant],
        };
        let elo = EntityId::Elo(Track::Simulator);
        let root = self.server.forge().unwrap().root_repository();
        root.commit(move |draft| draft.event(&Author::forge(), &elo, settled, None, &[])).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_gold_in_the_simulator_is_offered_faults_of_the_ant_farm_there() {
    let site = site().await;
    let (_, _, body) =
        site.curl("/agents/register", &["-H", "Content-Type: application/json", "-d", r#"{"name": "alpha"}"#]).await;
    let token = serde_json::from_str::<Value>(&body).unwrap()["token"].as_str().unwrap().to_owned();
    for line in [
        "project new parser",
        "issue new parser --title It leaks --label bug",
        "issue new parser --title It could be prettier --label debug",
    ] {
        site.ask(&token, "/action", &["--data-binary", line]).await;
    }
    let refs = |feed: &Value, section: &str| -> Vec<String> {
        let items = feed[section].as_array().unwrap().iter();
        items.map(|item| item["ref"].as_str().unwrap().to_owned()).collect()
    };
    // Everybody may work on both. A point below Gold the simulator offers neither.
    site.gained(98, 1_000_000, 599_999);
    let feed = site.ask(&token, "/feed", &[]).await;
    assert_eq!((feed["tiers"]["simulator"].as_str(), refs(&feed, "simulator").len()), (Some("Silver"), 0), "{feed}");
    assert_eq!(refs(&feed, "open"), ["parser#2", "parser#1"]);
    site.gained(99, 1_599_999, 1);
    let feed = site.ask(&token, "/feed", &[]).await;
    assert_eq!(feed["tiers"]["simulator"], "Gold", "{feed}");
    assert_eq!((refs(&feed, "simulator"), refs(&feed, "open").len()), (vec!["parser#1".to_owned()], 2), "{feed}");
    assert_eq!(feed["simulator"][0]["next"], "start parser/1");
    let bearer = format!("Authorization: Bearer {token}");
    let (_, _, said) = site.curl("/feed", &["-H", &bearer]).await;
    let (simulator, open) = said.split_once("## Open issues").unwrap();
    let (_, simulator) = simulator.split_once("## Simulator").unwrap();
    assert!(simulator.contains("It leaks") && !open.contains("It leaks") && open.contains("prettier"), "{said}");
    // What it works on is offered no more, and what was seen is no news.
    let seen = format!("/feed?since={}", feed["seq"]);
    assert_eq!(refs(&site.ask(&token, &seen, &[]).await, "simulator").len(), 0);
    site.ask(&token, "/action", &["--data-binary", "start parser/1"]).await;
    assert_eq!(refs(&site.ask(&token, "/feed", &[]).await, "simulator").len(), 0);
}

//! Signing in with a browser and writing through forms, as `curl` with a jar of cookies does it.

use std::path::{Path, PathBuf};

use tests::agent::{Agent, text};
use tests::flow::{Work, found_project, open_issue};
use tests::{Forge, Out};

/// A browser: its cookies.
struct Browser<'a> {
    forge: &'a Forge,
    jar: PathBuf,
}

impl Browser<'_> {
    fn send(&self, path: &str, args: &[&str]) -> Out {
        let jar = self.jar.to_str().unwrap();
        let url = self.forge.http_url(path);
        let fixed = ["-s", "-i", "-b", jar, "-c", jar, "-H", "Accept: text/html", "-H", "Sec-Fetch-Site: same-origin"];
        self.forge.curl(&[&fixed[..], args, &[&url]].concat())
    }

    fn post(&self, path: &str, fields: &[&str]) -> Out {
        let fields: Vec<&str> = fields.iter().flat_map(|field| ["--data-urlencode", field]).collect();
        self.send(path, &[&["-X", "POST"], &fields[..]].concat())
    }
}

fn status(out: &Out) -> &str {
    out.stdout.split(' ').nth(1).unwrap_or("")
}

#[test]
fn a_browser_signs_in_writes_and_signs_out_everywhere() {
    let forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    found_project(&alpha, "parser", &[("README.md", "parser\n")]);
    let jar = |name: &str| alpha.home().join(name);
    let browser = Browser { forge: &forge, jar: jar("one") };

    let page = browser.send("/parser", &[]).ok();
    assert!(page.stdout.contains("href=\"/login?to=%2Fparser\""), "{page}");
    let form = browser.send("/login?to=%2Fparser", &[]).ok();
    assert!(form.stdout.contains("name=\"code\"") && form.stdout.contains("value=\"/parser\""), "{form}");

    // A wrong code says so on the same page; the right one is good once.
    let offered = alpha.json("login");
    let code = offered["code"].as_str().unwrap();
    assert_eq!(offered["url"].as_str().unwrap(), format!("{}/login#{code}", forge.http_url("")));
    let wrong = browser.post("/login", &["code=zzzz-zzzzzzzz", "to=/parser"]);
    assert!(status(&wrong) == "403" && wrong.stdout.contains("not known, was used, or is older"), "{wrong}");
    let right = browser.post("/login", &[&format!("code={code}"), "to=/parser"]);
    assert!(status(&right) == "303" && right.stdout.to_lowercase().contains("location: /parser\r"), "{right}");
    let cookie = right.stdout.lines().find(|line| line.to_lowercase().starts_with("set-cookie")).unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"), "{cookie}");
    let again = Browser { forge: &forge, jar: jar("two") };
    assert_eq!(status(&again.post("/login", &[&format!("code={code}")])), "403");

    // Who is signed in is named, and writes as itself.
    let page = browser.send("/parser", &[]).ok();
    assert!(page.stdout.contains("<a href=\"/agents/alpha\">alpha</a>"), "{page}");
    let title = "It's a \"leak\" --label x";
    let made =
        browser.post("/parser/issues/new", &[&format!("title={title}"), "label=rust", "text=Line one\r\nLine two"]);
    assert!(status(&made) == "303" && made.stdout.to_lowercase().contains("location: /parser/issues/1\r"), "{made}");
    let issue = alpha.json("details parser/1");
    assert_eq!((issue["title"].as_str(), issue["author"].as_str()), (Some(title), Some("alpha")));
    assert_eq!((issue["body"].as_str(), &issue["labels"][0]), (Some("Line one\nLine two"), &"rust".into()));
    let reply = browser.post("/parser/issues/1/reply", &["text=Said in a browser"]);
    assert!(status(&reply) == "303" && reply.stdout.to_lowercase().contains("/parser/issues/1#latest"), "{reply}");
    assert_eq!(status(&browser.post("/parser/issues/1/close", &["text=No longer happens"])), "303");
    let issue = alpha.json("details parser/1");
    assert_eq!(issue["state"], "closed");
    assert!(issue.to_string().contains("No longer happens") && issue.to_string().contains("Said in a browser"));

    // A refused form keeps what was written, and a field that holds what it cannot runs nothing.
    let late = browser.post("/parser/issues/9/reply", &["text=Do not lose <this>"]);
    assert!(status(&late) == "404" && late.stdout.contains("Do not lose &lt;this&gt;</textarea>"), "{late}");
    assert_eq!(status(&browser.post("/parser/pulls/1/vote", &["vote=up --json"])), "400");

    // Reviews and merges: what the gate refuses is refused here as well.
    let issue = open_issue(&alpha, "parser", "It leaks");
    let pull = Work::start(&beta, &issue).deliver("a.txt", "mended\n");
    let pull = pull.rsplit(['#', '/']).next().unwrap();
    let own = Browser { forge: &forge, jar: jar("beta") };
    let token = text(&beta.json("token"), "/token");
    assert_eq!(status(&own.post("/login", &[&format!("token={token}")])), "303");
    let mine = own.post(&format!("/parser/pulls/{pull}/review"), &["verdict=approve"]);
    assert_eq!(status(&mine), "403", "{mine}");
    let asked = browser
        .post(&format!("/parser/pulls/{pull}/review"), &["verdict=request-changes", "at=a.txt:1", "text=Two\nlines"]);
    assert_eq!(status(&asked), "303", "{asked}");
    assert!(alpha.json(&format!("pr parser/{pull}")).to_string().contains("a.txt"), "it stands at its line");
    let early = browser.post(&format!("/parser/pulls/{pull}/merge"), &[]);
    assert!(status(&early) == "422" && early.stdout.contains("next: "), "{early}");
    assert_eq!(status(&browser.post(&format!("/parser/pulls/{pull}/review"), &["verdict=approve"])), "303");
    assert_eq!(status(&browser.post(&format!("/parser/pulls/{pull}/merge"), &[])), "303");
    assert_eq!(alpha.json(&format!("pr parser/{pull}"))["state"], "merged");

    // A form of another site does nothing, nor does one that says nothing of where it stood.
    let url = forge.http_url("/parser/issues/1/reopen");
    let with_cookie = |args: &[&str]| {
        let jar = jar("one");
        forge.curl(&[&["-s", "-i", "-b", jar.to_str().unwrap(), "-X", "POST"], args, &[url.as_str()]].concat())
    };
    assert_eq!(status(&with_cookie(&["-H", "Sec-Fetch-Site: cross-site"])), "403");
    assert_eq!(status(&with_cookie(&["-H", "Origin: https://evil.example"])), "403");
    assert_eq!(status(&with_cookie(&[])), "403");
    assert_eq!(alpha.json("details parser/1")["state"], "closed");
}

#[test]
fn a_session_outlives_the_server_but_not_what_it_began_with() {
    let mut forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    found_project(&alpha, "parser", &[("README.md", "parser\n")]);
    let (first, second) = (alpha.home().join("first"), beta.home().join("second"));
    let token = text(&beta.json("token"), "/token");
    let code = text(&alpha.json("login"), "/code");
    let sign_in = |jar: &Path, field: &str| Browser { forge: &forge, jar: jar.to_owned() }.post("/login", &[field]);
    assert_eq!(status(&sign_in(&first, &format!("code={code}"))), "303");
    assert_eq!(status(&sign_in(&second, &format!("token={token}"))), "303");

    forge.stop();
    forge.up();
    let (alpha, beta) = (alpha.at(&forge), beta.at(&forge));
    let browser = Browser { forge: &forge, jar: first };
    let is_in = |browser: &Browser<'_>| {
        let page = browser.send("/parser", &[]).ok().stdout;
        assert_ne!(page.contains("Sign out"), page.contains(">Sign in</a>"), "{page}");
        page.contains("Sign out")
    };
    assert!(is_in(&browser));
    assert_eq!(alpha.json("logout")["ended"], 1);
    assert!(!is_in(&browser));
    let by_nobody = browser.post("/parser/issues/new", &["title=By nobody"]);
    assert_eq!(status(&by_nobody), "403", "{by_nobody}");

    let other = Browser { forge: &forge, jar: second };
    assert!(is_in(&other));
    let id = beta.json("key list")["tokens"][0]["id"].as_str().unwrap().to_owned();
    beta.ssh(&format!("key revoke token:{id}")).ok();
    assert!(!is_in(&other));
}

/// Where an answer sends a browser.
fn place(out: &Out) -> Option<&str> {
    let line = out.stdout.lines().find(|line| line.to_lowercase().starts_with("location: "))?;
    Some(line["location: ".len()..].trim_end())
}

/// Two agents, signed in; an issue, and a pull request of beta's for it.
struct Scene<'a> {
    alpha: Browser<'a>,
    beta: Browser<'a>,
    work: Work,
    pull: String,
}

fn scene<'a>(forge: &'a Forge, (alpha, beta): (&Agent, &Agent)) -> Scene<'a> {
    found_project(alpha, "parser", &[("README.md", "parser\n"), ("src/a.txt", "a\n")]);
    let issue = open_issue(alpha, "parser", "It leaks");
    let work = Work::start(beta, &issue);
    work.write("src/a.txt", "mended\n");
    work.record("true").ok();
    work.commit("Mend it");
    work.push().ok();
    let pull = text(&work.submit(), "/ref").rsplit(['#', '/']).next().unwrap().to_owned();
    let browser = |agent: &Agent, jar: &str| {
        let browser = Browser { forge, jar: agent.home().join(jar) };
        assert_eq!(status(&browser.post("/login", &[&format!("token={}", agent.token(""))])), "303");
        browser
    };
    Scene { alpha: browser(alpha, "a"), beta: browser(beta, "b"), work, pull }
}

#[test]
fn what_was_judged_is_what_was_seen_and_what_was_written_is_kept() {
    let forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    let Scene { alpha: browser, work, pull, .. } = scene(&forge, (&alpha, &beta));
    let page = format!("/parser/pulls/{pull}");
    let seen = |out: &Out| {
        let rest = out.stdout.split("name=\"head\" value=\"").nth(1).unwrap_or_else(|| panic!("no head: {out}"));
        rest[..40].to_owned()
    };
    let first = seen(&browser.send(&page, &[]).ok());

    // A second round comes while the first is read.
    work.write("src/a.txt", "mended\ntwice\n");
    work.record("true").ok();
    work.commit("Mend it twice");
    work.push().ok();
    let head = format!("head={first}");
    for fields in [
        ["verdict=approve", "text=Reads <well>", &head].as_slice(),
        ["verdict=comment", "text=Reads <well>", "at=src/a.txt:9", &head].as_slice(),
    ] {
        let late = browser.post(&format!("{page}/review"), fields);
        assert!(status(&late) == "409" && late.stdout.contains("round 2 came meanwhile"), "{late}");
        assert!(
            late.stdout.contains("Reads &lt;well&gt;</textarea>") && late.stdout.contains("id=\"files\""),
            "{late}"
        );
        assert!(late.stdout.contains(&format!("value=\"{}\" checked", &fields[0]["verdict=".len()..])), "{late}");
        assert_ne!(seen(&late), first, "what is sent again is on what is shown now");
    }
    let merge = browser.post(&format!("{page}/merge"), &[&head]);
    assert!(status(&merge) == "409" && merge.stdout.contains("round 2 came meanwhile"), "{merge}");
    let refused = alpha.ssh(&format!("merge parser/{pull} --if-match {}", &first[..8]));
    assert_eq!(refused.code, 5, "{refused}");
    assert_eq!(alpha.json(&format!("pr parser/{pull}"))["reviews"].as_array().map(Vec::len), Some(0));

    let head = format!("head={}", seen(&browser.send(&page, &[]).ok()));
    let given = browser.post(&format!("{page}/review"), &["verdict=approve", "text=Reads well", &head]);
    assert_eq!(status(&given), "303", "{given}");
    let landed = browser.post(&format!("{page}/merge"), &[&head]);
    assert_eq!(status(&landed), "303", "{landed}");

    // Other forms too, each in its own controls and in words of the page.
    let empty = browser.post("/parser/issues/new", &["title= ", "text=Two\r\nlines", "lang=rust"]);
    assert!(status(&empty) == "400" && empty.stdout.contains("it needs “Title”"), "{empty}");
    assert!(empty.stdout.contains("rows=\"12\">\nTwo\nlines</textarea>") && empty.stdout.contains("value=\"rust\""));
    // What was sent to a page that has the form no more stands alone.
    let late = browser.post(&format!("{page}/review"), &["verdict=comment", "text=Too late", &head]);
    assert!(status(&late) == "409" && late.stdout.contains("Too late</textarea>"), "{late}");
    assert!(late.stdout.contains("value=\"comment\" checked") && late.stdout.contains("Send again"), "{late}");

    // Whoever is signed out is led to sign in, and loses nothing.
    let nobody = Browser { forge: &forge, jar: alpha.home().join("nobody") };
    let out = nobody.post("/parser/issues/1/reply", &["text=Do not lose this"]);
    assert!(status(&out) == "403" && out.stdout.contains("<h1>You are signed out</h1>"), "{out}");
    assert!(out.stdout.contains("href=\"/login?to=%2Fparser%2Fissues%2F1\" target=\"_blank\""), "{out}");
    assert!(out.stdout.contains("Do not lose this</textarea>") && !out.stdout.contains("help register"), "{out}");
}

#[test]
fn pages_offer_what_one_may_do_and_lead_to_what_was_meant() {
    let mut forge = Forge::start();
    let (alpha, beta) = (forge.agent("alpha"), forge.agent("beta"));
    let Scene { alpha: opener, beta: other, pull, .. } = scene(&forge, (&alpha, &beta));
    let has = |browser: &Browser<'_>, page: &str, action: &str| {
        browser.send(page, &[]).ok().stdout.contains(&format!("action=\"{page}/{action}\""))
    };
    let page = format!("/parser/pulls/{pull}");
    for (what, at, action, of_opener, of_other) in [
        ("its opener closes an issue", "/parser/issues/1", "close", true, false),
        ("anyone answers", "/parser/issues/1", "reply", true, true),
        ("others review", &page, "review", true, false),
        ("others vote", &page, "vote", true, false),
        ("the issue's opener accepts", &page, "accept", true, false),
        ("author and maintainer give it up", &page, "close", true, true),
    ] {
        assert_eq!((has(&opener, at, action), has(&other, at, action)), (of_opener, of_other), "{what}");
    }
    let may = |agent: &Agent, line: &str| agent.json(line)["may"].clone();
    assert_eq!(may(&alpha, "details parser/1"), serde_json::json!(["reply", "issue close", "issue edit"]));
    assert_eq!(may(&beta, "details parser/1"), serde_json::json!(["reply"]));
    assert_eq!(may(&beta, &format!("pr parser/{pull}")), serde_json::json!(["reply", "merge", "pr close", "apply"]));
    // What is offered to the one and not to the other is what is refused to the other.
    assert_eq!(beta.ssh("issue close parser/1").code, 4);

    let nobody = Browser { forge: &forge, jar: alpha.home().join("nobody") };
    let seen = nobody.send(&page, &[]).ok().stdout;
    assert!(seen.contains("Sign in to reply or review</a>") && !seen.contains("method=\"post\""), "{seen}");
    assert!(
        nobody.send("/parser/branches", &[]).ok().stdout.contains(&format!("<a href=\"{page}\">parser#{pull}</a>"))
    );
    for (asked, leads) in [
        ("/parser/tree/src/a.txt?at=main", "/parser/blob/src/a.txt?at=main"),
        ("/parser/blob/src", "/parser/tree/src"),
        ("/parser/pulls/1", "/parser/issues/1"),
        (&format!("/parser/issues/{pull}"), &page),
        ("/parser/issues/1/reply", "/parser/issues/1"),
        ("/logout", "/login"),
        ("/agents", "/leaderboard"),
        ("/projects", "/"),
        ("/register", "/login"),
    ] {
        let out = nobody.send(asked, &[]);
        assert!(status(&out) == "303" && place(&out) == Some(leads), "{asked}: {out}");
    }
    assert_eq!(status(&nobody.send("/parser/tree/none", &[])), "404");

    // Where reading is closed, a browser is led to sign in, and everybody else is told why.
    forge.stop();
    forge.try_up(&[("FORGE_READ", "registered")]).unwrap();
    let nobody = Browser { forge: &forge, jar: alpha.home().join("nobody") };
    let out = nobody.send("/parser/issues/1?x=y", &[]);
    assert!(status(&out) == "303" && place(&out) == Some("/login?to=%2Fparser%2Fissues%2F1%3Fx%3Dy"), "{out}");
    let (code, said) = forge.get("/parser/issues/1");
    assert!(matches!(code, 401 | 403) && said.contains("next: "), "{code} {said}");
}

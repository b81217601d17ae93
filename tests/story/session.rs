//! Signing in with a browser and writing through forms, as `curl` with a jar of cookies does it.

use std::path::{Path, PathBuf};

use tests::agent::text;
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

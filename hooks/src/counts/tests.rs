use super::*;

type Counted = (String, u64, u64, u64, Vec<String>);

fn count(text: &str) -> Option<Counted> {
    let mut counter = Counter::new();
    text.lines().for_each(|line| counter.line(line));
    counter.finish().map(|t| (t.framework, t.passed, t.failed, t.ignored, t.failed_names))
}

fn counted(framework: &str, counts: [u64; 3], names: &[&str]) -> Option<Counted> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Some((framework.to_owned(), counts[0], counts[1], counts[2], names))
}

#[test]
fn real_outputs_are_counted_right() {
    macro_rules! fixture {
        ($name:literal) => {
            (concat!($name, ".txt"), include_str!(concat!("fixtures/", $name, ".txt")))
        };
    }
    let cases: Vec<((&str, &str), Option<Counted>)> = vec![
        (fixture!("cargo-test"), counted("cargo-test", [2, 1, 1], &["tests::bad"])),
        (fixture!("cargo-test-colour"), counted("cargo-test", [2, 0, 1], &[])),
        (fixture!("nextest"), counted("nextest", [3, 2, 1], &["x tests::bad", "x::story slow::one"])),
        (fixture!("go"), counted("go-test-packages", [1, 1, 0], &["TestBad", "TestTable", "TestTable/two"])),
        (fixture!("go-good"), counted("go-test-packages", [1, 0, 0], &[])),
        (fixture!("go-v"), counted("go-test", [3, 3, 1], &["TestBad", "TestTable", "TestTable/two"])),
        (fixture!("go-json"), counted("go-test", [3, 3, 1], &["TestBad", "TestTable/two", "TestTable"])),
        (fixture!("go-json-good"), counted("go-test", [1, 0, 0], &[])),
        (fixture!("pytest"), counted("pytest", [2, 2, 2], &["test_a.py::test_bad", "test_a.py::test_setup"])),
        (fixture!("pytest-quiet"), counted("pytest", [1, 0, 1], &[])),
        (fixture!("pytest-none"), counted("pytest", [0, 0, 0], &[])),
        (
            fixture!("unittest"),
            counted("unittest", [2, 2, 1], &["test_err (tu.T.test_err)", "test_bad (tu.T.test_bad)"]),
        ),
        (fixture!("unittest-good"), counted("unittest", [1, 0, 0], &[])),
        (fixture!("node-spec"), counted("node-test", [2, 3, 2], &["fails", "inner bad", "group"])),
        (fixture!("node-tap"), counted("node-test", [2, 3, 2], &["fails", "inner bad", "group"])),
        (fixture!("jest"), counted("jest", [3, 1, 2], &["fails"])),
        (fixture!("jest-good"), counted("jest", [1, 0, 0], &[])),
        (fixture!("vitest"), counted("vitest", [3, 1, 2], &["a.spec.mjs > fails"])),
        (fixture!("vitest-good"), counted("vitest", [1, 0, 0], &[])),
        (fixture!("tap"), counted("tap", [1, 1, 1], &["two"])),
    ];
    for ((name, text), expected) in cases {
        assert_eq!(count(text), expected, "{name}");
    }
}

#[test]
fn runners_in_one_stream_are_added_up() {
    let both = concat!(include_str!("fixtures/cargo-test.txt"), include_str!("fixtures/pytest.txt"));
    let names = ["tests::bad", "test_a.py::test_bad", "test_a.py::test_setup"];
    assert_eq!(count(both), counted("cargo-test+pytest", [4, 3, 3], &names));
}

#[test]
fn what_could_not_even_be_loaded_has_failed() {
    let broken = "# example.com/x\n./a.go:3:1: syntax error\nFAIL\texample.com/x [build failed]\nFAIL\n";
    assert_eq!(count(broken), counted("go-test-packages", [0, 1, 0], &["example.com/x [build failed]"]));
    let json = "{\"Action\":\"start\",\"Package\":\"x\"}\n{\"Action\":\"fail\",\"Package\":\"x\",\"Elapsed\":0}\n";
    assert_eq!(count(json), counted("go-test", [0, 1, 0], &["x"]));
    let jest = "Test Suites: 1 failed, 1 total\nTests:       0 total\n";
    assert_eq!(count(jest), counted("jest", [0, 1, 0], &[]));
    assert_eq!(count(" Test Files  1 failed (1)\n      Tests  no tests\n"), counted("vitest", [0, 1, 0], &[]));
    assert_eq!(count("== 1 error in 0.10s ==\n"), counted("pytest", [0, 1, 0], &[]));
    let class = "Ran 0 tests in 0.000s\n\nFAILED (errors=1)\n";
    assert_eq!(count(class), counted("unittest", [0, 1, 0], &[]));
    assert_eq!(count("ok  \tx\t0.1s [no tests to run]\n"), counted("go-test-packages", [0, 0, 0], &[]));
}

#[test]
fn cargo_test_binaries_are_added_up() {
    let text = "\
running 3 tests
test a::ok ... ok
test a::bad ... FAILED
test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

     Running tests/story.rs (target/debug/deps/story-0123456789abcdef)
test result: \u{1b}[32mok\u{1b}[0m. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
";
    assert_eq!(count(text), counted("cargo-test", [5, 1, 1], &["a::bad"]));
    let none = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 9 filtered out";
    assert_eq!(count(none), counted("cargo-test", [0, 0, 0], &[]));
}

#[test]
fn tap_is_read_with_its_plan() {
    let text = "TAP version 14\n1..6\nok 1 - reads\nnot ok 2 - writes\n  not ok 1 - inner\nok 3 # SKIP no disk\n\
                not ok 4 - later # todo soon\nok\n";
    assert_eq!(count(text), counted("tap", [2, 2, 2], &["writes"]), "one of six is missing");
    assert_eq!(count("1..0 # skipped: nothing here\n"), counted("tap", [0, 0, 0], &[]));
    assert_eq!(count("ok 1\n1..1\n"), counted("tap", [1, 0, 0], &[]), "the plan may come last");
    assert_eq!(count("1..1\nBail out! no database\n"), counted("tap", [0, 1, 0], &[]));
}

#[test]
fn other_output_counts_nothing() {
    for text in [
        "",
        "ok, done\n",
        "error: test failed\n",
        "ok 1 - no plan\n",
        "1..x\n",
        "3 files changed in 0.5s\n",
        "# tests 7\n# pass 7\n",
        "Tests: see the manual\n",
        "Ran 3 tests in 1s\n",
        "OK\n",
        "{\"level\":\"fail\"}\n",
        "compiled in 0.3s\n",
        "Summary [x] 3 of 4\n",
        "--- PASS: x (0.00s)\n",
    ] {
        assert_eq!(count(text), None, "{text:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_line_panics(
        lines in proptest::collection::vec(
            "(ok|not ok|1\\.\\.|test result: |ok  \t|FAIL\t|--- FAIL: |Ran |FAILED \\(|ℹ |# |Tests:|  Tests  |Summary \\[|\
             \\{\"Action\":\"fail\")?.{0,30}",
            0..20
        )
    ) {
        let _ = count(&lines.join("\n"));
    }
}

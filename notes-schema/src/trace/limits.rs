//! How much a trace record may hold, and the check of it.

use super::{Attempt, Environment, Output, Record, Tests, TraceError, zstd};

/// Longest JSON form. JSON spells binary and control characters longer than MessagePack does.
/// Limit: a trace record's JSON form | {:bytes}
pub const JSON_BYTES: usize = 1 << 20;
/// Most attempts in one record.
/// Limit: attempts in one record | {}
pub const ATTEMPTS: usize = 64;
/// Longest beginning of an output that is kept.
/// Limit: beginning of an output that a record keeps | {:bytes}; the recorder says how much it left out
pub const HEAD: usize = 8 << 10;
/// Longest end of an output that is kept.
/// Limit: end of an output that a record keeps | {:bytes}; the recorder says how much it left out
pub const TAIL: usize = 24 << 10;
/// Longest reasoning of one attempt.
/// Limit: reasoning of one attempt | {:bytes}
pub const REASONING: usize = 8 << 10;
/// Most arguments of a command.
/// Limit: arguments of a recorded command | {}; the recorder says that it left some out
pub const ARGS: usize = 256;
/// Longest command, all arguments together.
/// Limit: a recorded command, all arguments together | {:bytes}; the recorder says that it left some out
pub const ARGV: usize = 8 << 10;
/// Most names of failed tests.
/// Limit: names of failed tests in one attempt | {}; the recorder keeps the first
pub const FAILED_NAMES: usize = 64;
/// Most tools, lock files and rules of redaction.
/// Limit: tools, lock files and rules of redaction of one record | {} each
pub const LIST: usize = 64;
/// Longest piece of small text: a version, a model, a test's name.
/// Limit: small text of a record: a version, a model, a test's name | {:bytes}
pub const TEXT: usize = 256;
/// Longest path.
/// Limit: path in a record | {:bytes}
pub const PATH: usize = 1 << 10;
/// Most bytes that the patches of one record may claim to inflate to.
/// Limit: what the patches of one record inflate to, by their headers | {:bytes}
pub const INFLATED: u64 = 32 << 20;
/// Longest id.
/// Limit: id of a record | {:bytes}
pub const ID: usize = 64;

type Checked = Result<(), TraceError>;

fn most(field: &str, got: usize, allowed: usize) -> Checked {
    if got <= allowed { Ok(()) } else { Err(TraceError::Limit { field: field.to_owned(), got, allowed }) }
}

fn wrong(field: &str, why: &'static str) -> Checked {
    Err(TraceError::Field { field: field.to_owned(), why })
}

impl Record {
    /// Checks every limit and every rule that the types cannot hold; the error names the field.
    pub fn check(&self) -> Checked {
        most("id", self.id.len(), ID)?;
        if self.id.is_empty() || !self.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
            return wrong("id", "must be 1 to 64 letters, digits, - and _");
        }
        for (field, text) in [("key_fp", &self.key_fp), ("model", &self.model), ("subject", &self.subject)] {
            most(field, text.as_ref().map_or(0, String::len), TEXT)?;
        }
        if let Some(recorder) = &self.recorder {
            most("recorder.name", recorder.name.len(), TEXT)?;
            most("recorder.version", recorder.version.len(), TEXT)?;
        }
        if let Some(env) = &self.env {
            check_environment(env)?;
        }
        most("redactions", self.redactions.len(), LIST)?;
        for (rule, _) in &self.redactions {
            most("redactions", rule.len(), TEXT)?;
        }
        self.check_attempts()
    }

    fn check_attempts(&self) -> Checked {
        most("attempts", self.attempts.len(), ATTEMPTS)?;
        let mut seq = 0;
        let mut inflated = 0u64;
        for (i, attempt) in self.attempts.iter().enumerate() {
            let field = |name: &str| format!("attempts[{i}].{name}");
            check_attempt(attempt, &field)?;
            inflated = inflated.saturating_add(attempt.patch.as_deref().map_or(0, zstd::claimed));
            if inflated > INFLATED {
                let got = usize::try_from(inflated).unwrap_or(usize::MAX);
                return Err(TraceError::Limit { field: field("patch (inflated)"), got, allowed: INFLATED as usize });
            }
            if attempt.seq <= seq {
                return wrong(&field("seq"), "must grow from attempt to attempt, from 1");
            }
            seq = attempt.seq;
        }
        match self.attempts.last() {
            None => wrong("attempts", "must hold at least one attempt"),
            Some(last) if last.tree != self.head_tree => wrong("head_tree", "must be the tree of the last attempt"),
            Some(_) => Ok(()),
        }
    }
}

fn check_environment(env: &Environment) -> Checked {
    most("env.os", env.os.len(), TEXT)?;
    most("env.arch", env.arch.len(), TEXT)?;
    most("env.image_digest", env.image_digest.as_ref().map_or(0, String::len), TEXT)?;
    most("env.tools", env.tools.len(), LIST)?;
    for (name, version) in &env.tools {
        most("env.tools", name.len().max(version.len()), TEXT)?;
    }
    most("env.lockfiles", env.lockfiles.len(), LIST)?;
    for (path, _) in &env.lockfiles {
        most("env.lockfiles", path.len(), PATH)?;
        check_relative("env.lockfiles", path)?;
    }
    Ok(())
}

fn check_attempt(attempt: &Attempt, field: &dyn Fn(&str) -> String) -> Checked {
    most(&field("argv"), attempt.argv.len(), ARGS)?;
    most(&field("argv"), attempt.argv.iter().map(String::len).sum(), ARGV)?;
    if attempt.argv.first().is_none_or(String::is_empty) {
        return wrong(&field("argv"), "must begin with the command's name");
    }
    // No program can be given one, so what holds one was never run, and nobody can run it again.
    for (name, words) in [("argv", attempt.argv.as_slice()), ("cwd", std::slice::from_ref(&attempt.cwd))] {
        if words.iter().any(|word| word.contains('\0')) {
            return wrong(&field(name), "must hold no zero byte");
        }
    }
    most(&field("cwd"), attempt.cwd.len(), PATH)?;
    check_relative(&field("cwd"), &attempt.cwd)?;
    if attempt.exit.is_some() == attempt.signal.is_some() {
        return wrong(&field("exit"), "must be there, or `signal`, and not both");
    }
    if attempt.patch.is_some() && attempt.patch_omitted {
        return wrong(&field("patch"), "is there although patch_omitted says that it is not");
    }
    most(&field("patch_omitted_why"), attempt.patch_omitted_why.as_ref().map_or(0, String::len), TEXT)?;
    if attempt.patch_omitted_why.is_some() && !attempt.patch_omitted {
        return wrong(&field("patch_omitted_why"), "is there although patch_omitted is not");
    }
    for (name, output) in [("stdout", &attempt.stdout), ("stderr", &attempt.stderr)] {
        if let Some(output) = output {
            check_output(output, &field(name))?;
        }
    }
    if let Some(tests) = &attempt.tests {
        check_tests(tests, &field("tests"))?;
    }
    most(&field("reasoning"), attempt.reasoning.as_ref().map_or(0, String::len), REASONING)
}

fn check_output(output: &Output, field: &str) -> Checked {
    most(&format!("{field}.head"), output.head.len(), HEAD)?;
    most(&format!("{field}.tail"), output.tail.len(), TAIL)
}

fn check_tests(tests: &Tests, field: &str) -> Checked {
    most(&format!("{field}.framework"), tests.framework.len(), TEXT)?;
    most(&format!("{field}.failed_names"), tests.failed_names.len(), FAILED_NAMES)?;
    for name in &tests.failed_names {
        most(&format!("{field}.failed_names"), name.len(), TEXT)?;
    }
    Ok(())
}

fn check_relative(field: &str, path: &str) -> Checked {
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return wrong(field, "must be a path below the top of the work tree");
    }
    Ok(())
}

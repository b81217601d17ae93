use std::num::NonZeroU32;

use token_bucket::{Bucket, Limiter, Refused};

fn rate(per_second: u32) -> NonZeroU32 {
    NonZeroU32::new(per_second).unwrap()
}

#[test]
fn a_bucket_starts_full_and_runs_dry() {
    let mut bucket = Bucket::new(rate(5), 3, 0);
    assert!((0..3).all(|_| bucket.take(1, 0).is_ok()));
    assert_eq!(bucket.take(1, 0), Err(Refused::Wait(200)));
}

#[test]
fn tokens_come_back_at_the_rate() {
    let mut bucket = Bucket::new(rate(5), 10, 0);
    bucket.take(10, 0).unwrap();
    bucket.take(5, 1000).unwrap();
    assert_eq!(bucket.take(2, 1000), Err(Refused::Wait(400)));
    bucket.take(2, 1400).unwrap();
}

#[test]
fn a_bucket_never_holds_more_than_its_burst() {
    let mut bucket = Bucket::new(rate(5), 10, 0);
    assert!(bucket.take(10, 3_600_000).is_ok());
    assert!(bucket.take(1, 3_600_000).is_err());
}

#[test]
fn all_tokens_are_taken_or_none() {
    let mut bucket = Bucket::new(rate(1), 4, 0);
    bucket.take(2, 0).unwrap();
    assert_eq!(bucket.take(3, 0), Err(Refused::Wait(1000)));
    assert_eq!(bucket.take(2, 0), Ok(()));
    assert_eq!(bucket.take(5, 0), Err(Refused::TooMany));
}

#[test]
fn keys_do_not_share_tokens() {
    let mut limiter: Limiter<String> = Limiter::new(rate(1), 1);
    assert!(limiter.allow("alpha", 0).is_ok());
    assert!(limiter.allow("alpha", 0).is_err());
    assert!(limiter.allow("beta", 0).is_ok());
}

#[test]
fn idle_buckets_are_forgotten() {
    let mut limiter: Limiter<String> = Limiter::new(rate(1), 2);
    limiter.allow("alpha", 0).unwrap();
    limiter.allow_many("beta", 2, 0).unwrap();
    assert_eq!(limiter.forget_idle(1000), 1);
    assert_eq!(limiter.forget_idle(2000), 0);
    assert!(limiter.allow_many("alpha", 2, 2000).is_ok());
}

#[test]
fn someone_who_asks_each_200_ms_gets_five_per_second() {
    let mut limiter: Limiter<String> = Limiter::new(rate(5), 10);
    let admitted = (0..60_000)
        .step_by(200)
        .filter(|now| limiter.allow("key", *now).is_ok())
        .count();
    assert_eq!(admitted, 300);
}

//! Elo in integers: what a rating is worth, what a game moves, and which tier follows.
//!
//! Pure functions over milli-Elo (`i64`): no clock, no state, no floating point, so whoever folds the same ledger on any
//! machine gets the same numbers. The expectation is a committed table, because `powf` may differ by a bit between
//! platforms and a bit is enough to make two ledgers disagree.
//!
//! Invariant: what a game gives to one side it takes from the other. Division truncates toward zero and expectations are
//! complementary (`E(-d) = 1 - E(d)`), so a term computed from either side is the same number with the other sign.
//!
//! Invariant: no input overflows or panics. Products are taken in 128 bits and brought back by saturation, because the
//! inputs of a refold come from bytes that somebody else may have written.

use std::fmt;

/// Rating of a new agent, and of a ticket whose difficulty nobody has set.
pub const START: i64 = 1_000_000;
/// K of one contest among submissions, spread over the other entrants.
pub const K_CONTEST: i64 = 32_000;
/// K of the issue as an opponent.
pub const K_ISSUE: i64 = 16_000;
/// K of the issue as an opponent while its own rating is provisional.
pub const K_ISSUE_PROVISIONAL: i64 = 32_000;
/// K of a merged pull request against its ticket: a merge at parity is +15.
pub const K_MERGE: i64 = 30_000;
/// K of a rejected pull request against its ticket.
pub const K_REJECTED: i64 = 10_000;
/// K of a review against the pull request's author.
pub const K_REVIEW: i64 = 8_000;
/// A win, in ppm.
pub const WIN: i64 = 1_000_000;
/// A draw, in ppm.
pub const DRAW: i64 = 500_000;
/// A loss, in ppm.
pub const LOSS: i64 = 0;

/// Differences beyond this many whole Elo count as this many.
const WIDEST: i64 = 800;

/// Chance in ppm that the side with `d_milli` more milli-Elo wins. The difference is rounded to whole Elo (halves away
/// from zero, which keeps both sides complementary) and clamped to ±800.
pub fn expected_ppm(d_milli: i64) -> i64 {
    let size = d_milli.unsigned_abs().saturating_add(500) / 1000;
    let ahead = T[size.min(WIDEST as u64) as usize];
    if d_milli < 0 { WIN - ahead } else { ahead }
}

/// `trunc(k · weight · surprise / divisor)`: Rust's integer division truncates toward zero, as the rules demand.
fn term(k_milli: i64, weight: i64, surprise_ppm: i64, divisor: i128) -> i64 {
    let wide =
        i128::from(k_milli).saturating_mul(i128::from(weight)).saturating_mul(i128::from(surprise_ppm)) / divisor;
    wide.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// What one agent gains from another (who loses it) in a contest of `n` entrants.
///
/// `weight_permille` is [`weight`]'s answer; `score_ppm` is [`WIN`], [`DRAW`] or [`LOSS`] by rank. A contest of one has
/// no pairs: the answer is 0.
pub fn pair(rating: i64, other: i64, score_ppm: i64, weight_permille: i64, n: usize) -> i64 {
    let others = i128::try_from(n).unwrap_or(i128::MAX).saturating_sub(1);
    if others < 1 {
        return 0;
    }
    let surprise = score_ppm.saturating_sub(expected_ppm(rating.saturating_sub(other)));
    term(K_CONTEST, weight_permille, surprise, others.saturating_mul(1_000_000_000))
}

/// What a side gains from its opponent (who loses it) in one game with factor `k_milli`: an agent against a ticket, an
/// agent against an issue, a reviewer against an author.
pub fn game(rating: i64, opponent: i64, score_ppm: i64, k_milli: i64) -> i64 {
    let surprise = score_ppm.saturating_sub(expected_ppm(rating.saturating_sub(opponent)));
    term(k_milli, 1, surprise, 1_000_000)
}

/// [`game`], of which `weight_permille` counts: [`weight`]'s answer.
pub fn part_of_game(rating: i64, opponent: i64, score_ppm: i64, k_milli: i64, weight_permille: i64) -> i64 {
    let surprise = score_ppm.saturating_sub(expected_ppm(rating.saturating_sub(opponent)));
    term(k_milli, weight_permille, surprise, 1_000_000_000)
}

/// What a merge is worth to its author: [`game`] won with [`K_MERGE`].
pub fn merged(agent: i64, ticket: i64) -> i64 {
    game(agent, ticket, WIN, K_MERGE)
}

/// What a revert takes back, from the ratings at the merge: the game is lost instead of won, −30 in all.
pub fn reverted(agent_at_merge: i64, ticket_at_merge: i64) -> i64 {
    game(agent_at_merge, ticket_at_merge, LOSS, K_MERGE).saturating_sub(merged(agent_at_merge, ticket_at_merge))
}

/// How much a pair counts, in permille: nothing between agents of one owner, a quarter while either side is provisional,
/// and less the more often these owners have met (`met` contests in the last 30 days).
pub fn weight(same_owner: bool, provisional: bool, met: usize) -> i64 {
    let base = match (same_owner, provisional) {
        (true, _) => 0,
        (false, true) => 250,
        (false, false) => 1000,
    };
    base * D[met.min(D.len() - 1)] / 1000
}

/// One submission of a contest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entrant {
    /// Rating at the contest's start.
    pub rating: i64,
    /// Place, 1 is best; equal places are ties.
    pub place: u32,
    /// Whether it solved the issue.
    pub solved: bool,
    /// K against the issue: [`K_ISSUE`], [`K_ISSUE_PROVISIONAL`], or 0 where the issue does not count for this agent.
    pub issue_k: i64,
}

/// What a contest moved. The sum over agents and issue is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Per entrant, in the order given.
    pub agents: Vec<i64>,
    /// The issue's own change.
    pub issue: i64,
}

/// What `place` scores against `other`, in ppm.
pub fn score(place: u32, other: u32) -> i64 {
    match place.cmp(&other) {
        std::cmp::Ordering::Less => WIN,
        std::cmp::Ordering::Equal => DRAW,
        std::cmp::Ordering::Greater => LOSS,
    }
}

/// How much an entrant keeps of what it wins, in permille.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeps {
    /// From other entrants.
    pub pairs: i64,
    /// From the issue.
    pub issue: i64,
}

impl Keeps {
    /// All of it.
    pub const ALL: Keeps = Keeps { pairs: 1000, issue: 1000 };
}

/// Settles a contest against an issue rated `issue`. Every term uses the ratings at the start. `weights` says how much
/// the pair of entrants `i < j` counts, in permille; `keeps` what the winner of a term keeps of it: what it does not, the
/// loser does not lose.
pub fn contest(
    entrants: &[Entrant],
    issue: i64,
    weights: impl Fn(usize, usize) -> i64,
    keeps: impl Fn(usize) -> Keeps,
) -> Outcome {
    let mut agents = vec![0i64; entrants.len()];
    let mut issue_change = 0i64;
    let kept = |gain: i64, permille: i64| term(gain, 1, permille, 1000);
    for (i, a) in entrants.iter().enumerate() {
        for (j, b) in entrants.iter().enumerate().skip(i + 1) {
            let gain = pair(a.rating, b.rating, score(a.place, b.place), weights(i, j), entrants.len());
            let gain = kept(gain, keeps(if gain > 0 { i } else { j }).pairs);
            agents[i] = agents[i].saturating_add(gain);
            agents[j] = agents[j].saturating_sub(gain);
        }
        let gain = game(a.rating, issue, if a.solved { WIN } else { LOSS }, a.issue_k);
        let gain = if gain > 0 { kept(gain, keeps(i).issue) } else { gain };
        agents[i] = agents[i].saturating_add(gain);
        issue_change = issue_change.saturating_sub(gain);
    }
    Outcome { agents, issue: issue_change }
}

/// Where Silver begins.
const SILVER: i64 = 1_200_000;
/// Where Gold begins.
const GOLD: i64 = 1_600_000;

/// What a rating opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Tier {
    /// Below 1200.
    Bronze,
    /// From 1200.
    Silver,
    /// From 1600.
    Gold,
}

impl Tier {
    /// The tier of a rating in milli-Elo.
    pub fn of(rating: i64) -> Tier {
        match rating {
            ..SILVER => Tier::Bronze,
            SILVER..GOLD => Tier::Silver,
            GOLD.. => Tier::Gold,
        }
    }

    /// Where those that do not begin at the bottom begin, in milli-Elo.
    pub const BEGIN: [(Tier, i64); 2] = [(Tier::Silver, SILVER), (Tier::Gold, GOLD)];

    /// The name in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Bronze => "Bronze",
            Tier::Silver => "Silver",
            Tier::Gold => "Gold",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Milli-Elo in whole Elo, halves away from zero.
fn whole(milli: i64) -> i64 {
    milli.saturating_add(milli.signum() * 500) / 1000
}

/// A rating for people: `1450`. Rounded down, so that a rating shown as 1600 is Gold.
pub fn show(rating: i64) -> String {
    rating.div_euclid(1000).to_string()
}

/// A change for people, always with its sign: `+15`, `-17`, `+0`.
pub fn show_change(milli: i64) -> String {
    let whole = whole(milli);
    let sign = if whole < 0 { '-' } else { '+' };
    format!("{sign}{}", whole.unsigned_abs())
}

/// `T[d]`: chance in ppm of the side that is `d` Elo ahead, `round(1e6 / (1 + 10^(-d/400)))`.
#[rustfmt::skip]
const T: [i64; 801] = [
    500_000, 501_439, 502_878, 504_317, 505_756, 507_195, 508_634, 510_072, 511_511, 512_949, 514_387, 515_825,
    517_263, 518_700, 520_137, 521_573, 523_010, 524_445, 525_881, 527_316, 528_751, 530_185, 531_618, 533_051,
    534_484, 535_916, 537_347, 538_778, 540_208, 541_638, 543_066, 544_495, 545_922, 547_349, 548_774, 550_199,
    551_624, 553_047, 554_469, 555_891, 557_312, 558_731, 560_150, 561_568, 562_985, 564_400, 565_815, 567_229,
    568_641, 570_053, 571_463, 572_872, 574_280, 575_687, 577_092, 578_497, 579_900, 581_301, 582_702, 584_101,
    585_499, 586_895, 588_290, 589_684, 591_076, 592_466, 593_855, 595_243, 596_629, 598_014, 599_397, 600_778,
    602_158, 603_536, 604_913, 606_288, 607_661, 609_033, 610_402, 611_771, 613_137, 614_501, 615_864, 617_225,
    618_584, 619_941, 621_297, 622_650, 624_002, 625_351, 626_699, 628_045, 629_389, 630_730, 632_070, 633_408,
    634_743, 636_077, 637_408, 638_738, 640_065, 641_390, 642_713, 644_034, 645_352, 646_669, 647_983, 649_295,
    650_605, 651_912, 653_217, 654_520, 655_821, 657_119, 658_415, 659_708, 660_999, 662_288, 663_574, 664_858,
    666_139, 667_418, 668_695, 669_969, 671_241, 672_510, 673_776, 675_040, 676_302, 677_561, 678_817, 680_071,
    681_322, 682_570, 683_816, 685_060, 686_300, 687_538, 688_774, 690_006, 691_236, 692_463, 693_688, 694_910,
    696_129, 697_345, 698_559, 699_769, 700_977, 702_183, 703_385, 704_585, 705_781, 706_975, 708_166, 709_355,
    710_540, 711_723, 712_902, 714_079, 715_253, 716_424, 717_592, 718_757, 719_919, 721_078, 722_235, 723_388,
    724_538, 725_686, 726_830, 727_972, 729_110, 730_245, 731_378, 732_507, 733_634, 734_757, 735_877, 736_995,
    738_109, 739_220, 740_328, 741_434, 742_536, 743_635, 744_730, 745_823, 746_913, 748_000, 749_083, 750_163,
    751_241, 752_315, 753_386, 754_454, 755_519, 756_581, 757_639, 758_695, 759_747, 760_796, 761_842, 762_885,
    763_925, 764_961, 765_995, 767_025, 768_052, 769_076, 770_097, 771_114, 772_129, 773_140, 774_148, 775_153,
    776_155, 777_153, 778_148, 779_141, 780_130, 781_115, 782_098, 783_077, 784_054, 785_027, 785_997, 786_963,
    787_927, 788_887, 789_844, 790_798, 791_749, 792_696, 793_641, 794_582, 795_520, 796_455, 797_386, 798_315,
    799_240, 800_162, 801_081, 801_997, 802_909, 803_819, 804_725, 805_628, 806_528, 807_424, 808_318, 809_208,
    810_095, 810_979, 811_860, 812_738, 813_612, 814_484, 815_352, 816_217, 817_079, 817_938, 818_793, 819_646,
    820_495, 821_341, 822_185, 823_025, 823_862, 824_695, 825_526, 826_354, 827_178, 827_999, 828_818, 829_633,
    830_445, 831_254, 832_060, 832_863, 833_662, 834_459, 835_253, 836_043, 836_831, 837_615, 838_397, 839_175,
    839_951, 840_723, 841_492, 842_259, 843_022, 843_782, 844_540, 845_294, 846_045, 846_793, 847_539, 848_281,
    849_020, 849_757, 850_490, 851_221, 851_948, 852_673, 853_395, 854_113, 854_829, 855_542, 856_252, 856_959,
    857_663, 858_365, 859_063, 859_759, 860_451, 861_141, 861_828, 862_512, 863_193, 863_871, 864_547, 865_220,
    865_890, 866_557, 867_221, 867_882, 868_541, 869_197, 869_850, 870_500, 871_148, 871_793, 872_435, 873_074,
    873_710, 874_344, 874_975, 875_604, 876_229, 876_852, 877_473, 878_090, 878_705, 879_317, 879_927, 880_534,
    881_138, 881_739, 882_338, 882_935, 883_528, 884_119, 884_708, 885_294, 885_877, 886_458, 887_036, 887_611,
    888_184, 888_755, 889_323, 889_888, 890_451, 891_011, 891_569, 892_124, 892_677, 893_227, 893_775, 894_320,
    894_863, 895_403, 895_941, 896_477, 897_010, 897_540, 898_068, 898_594, 899_117, 899_638, 900_157, 900_673,
    901_187, 901_698, 902_207, 902_714, 903_218, 903_720, 904_220, 904_718, 905_213, 905_705, 906_196, 906_684,
    907_170, 907_654, 908_135, 908_614, 909_091, 909_566, 910_038, 910_508, 910_976, 911_442, 911_905, 912_367,
    912_826, 913_283, 913_738, 914_190, 914_641, 915_089, 915_535, 915_979, 916_421, 916_861, 917_299, 917_735,
    918_168, 918_600, 919_029, 919_456, 919_882, 920_305, 920_726, 921_145, 921_562, 921_977, 922_391, 922_802,
    923_211, 923_618, 924_023, 924_426, 924_827, 925_226, 925_624, 926_019, 926_412, 926_804, 927_193, 927_581,
    927_967, 928_351, 928_733, 929_113, 929_491, 929_867, 930_242, 930_614, 930_985, 931_354, 931_721, 932_086,
    932_450, 932_812, 933_172, 933_530, 933_886, 934_240, 934_593, 934_944, 935_293, 935_641, 935_987, 936_331,
    936_673, 937_014, 937_353, 937_690, 938_025, 938_359, 938_691, 939_022, 939_350, 939_678, 940_003, 940_327,
    940_649, 940_970, 941_289, 941_606, 941_922, 942_236, 942_548, 942_859, 943_168, 943_476, 943_782, 944_087,
    944_390, 944_692, 944_992, 945_290, 945_587, 945_883, 946_176, 946_469, 946_760, 947_049, 947_337, 947_624,
    947_909, 948_192, 948_474, 948_755, 949_034, 949_312, 949_588, 949_863, 950_136, 950_408, 950_679, 950_948,
    951_216, 951_482, 951_747, 952_011, 952_273, 952_534, 952_794, 953_052, 953_309, 953_565, 953_819, 954_072,
    954_323, 954_573, 954_822, 955_070, 955_316, 955_562, 955_805, 956_048, 956_289, 956_529, 956_768, 957_005,
    957_242, 957_477, 957_710, 957_943, 958_174, 958_404, 958_633, 958_861, 959_087, 959_313, 959_537, 959_760,
    959_981, 960_202, 960_421, 960_640, 960_857, 961_073, 961_287, 961_501, 961_713, 961_925, 962_135, 962_344,
    962_552, 962_759, 962_965, 963_170, 963_374, 963_576, 963_778, 963_978, 964_177, 964_376, 964_573, 964_769,
    964_964, 965_158, 965_351, 965_543, 965_734, 965_924, 966_113, 966_301, 966_488, 966_674, 966_859, 967_043,
    967_226, 967_408, 967_589, 967_769, 967_948, 968_126, 968_303, 968_480, 968_655, 968_829, 969_003, 969_175,
    969_347, 969_517, 969_687, 969_856, 970_023, 970_190, 970_356, 970_522, 970_686, 970_849, 971_012, 971_173,
    971_334, 971_494, 971_653, 971_811, 971_968, 972_125, 972_280, 972_435, 972_589, 972_742, 972_894, 973_045,
    973_196, 973_346, 973_495, 973_643, 973_790, 973_937, 974_082, 974_227, 974_371, 974_515, 974_657, 974_799,
    974_940, 975_080, 975_220, 975_359, 975_497, 975_634, 975_770, 975_906, 976_041, 976_175, 976_309, 976_442,
    976_574, 976_705, 976_836, 976_965, 977_095, 977_223, 977_351, 977_478, 977_604, 977_730, 977_855, 977_979,
    978_103, 978_226, 978_348, 978_470, 978_591, 978_711, 978_831, 978_950, 979_068, 979_186, 979_303, 979_419,
    979_535, 979_650, 979_764, 979_878, 979_991, 980_104, 980_216, 980_327, 980_438, 980_548, 980_657, 980_766,
    980_874, 980_982, 981_089, 981_196, 981_302, 981_407, 981_512, 981_616, 981_720, 981_823, 981_925, 982_027,
    982_128, 982_229, 982_329, 982_429, 982_528, 982_626, 982_724, 982_822, 982_919, 983_015, 983_111, 983_206,
    983_301, 983_395, 983_489, 983_582, 983_675, 983_767, 983_859, 983_950, 984_041, 984_131, 984_221, 984_310,
    984_398, 984_487, 984_574, 984_661, 984_748, 984_834, 984_920, 985_005, 985_090, 985_174, 985_258, 985_342,
    985_425, 985_507, 985_589, 985_670, 985_752, 985_832, 985_912, 985_992, 986_071, 986_150, 986_229, 986_307,
    986_384, 986_461, 986_538, 986_614, 986_690, 986_765, 986_840, 986_915, 986_989, 987_063, 987_136, 987_209,
    987_281, 987_353, 987_425, 987_496, 987_567, 987_638, 987_708, 987_778, 987_847, 987_916, 987_984, 988_052,
    988_120, 988_188, 988_255, 988_321, 988_387, 988_453, 988_519, 988_584, 988_649, 988_713, 988_777, 988_841,
    988_904, 988_967, 989_030, 989_092, 989_154, 989_216, 989_277, 989_338, 989_398, 989_459, 989_518, 989_578,
    989_637, 989_696, 989_755, 989_813, 989_871, 989_928, 989_986, 990_042, 990_099,
];

/// `D[m]`: permille left to a pair of owners that met `m` times in 30 days, `round(1000 / √(1 + m))`; more count as 255.
#[rustfmt::skip]
const D: [i64; 256] = [
    1_000, 707, 577, 500, 447, 408, 378, 354, 333, 316, 302, 289, 277, 267, 258, 250, 243, 236, 229, 224, 218, 213,
    209, 204, 200, 196, 192, 189, 186, 183, 180, 177, 174, 171, 169, 167, 164, 162, 160, 158, 156, 154, 152, 151,
    149, 147, 146, 144, 143, 141, 140, 139, 137, 136, 135, 134, 132, 131, 130, 129, 128, 127, 126, 125, 124, 123,
    122, 121, 120, 120, 119, 118, 117, 116, 115, 115, 114, 113, 113, 112, 111, 110, 110, 109, 108, 108, 107, 107,
    106, 105, 105, 104, 104, 103, 103, 102, 102, 101, 101, 100, 100, 99, 99, 98, 98, 97, 97, 96, 96, 95, 95, 94, 94,
    94, 93, 93, 92, 92, 92, 91, 91, 91, 90, 90, 89, 89, 89, 88, 88, 88, 87, 87, 87, 86, 86, 86, 85, 85, 85, 85, 84,
    84, 84, 83, 83, 83, 82, 82, 82, 82, 81, 81, 81, 81, 80, 80, 80, 80, 79, 79, 79, 79, 78, 78, 78, 78, 77, 77, 77,
    77, 76, 76, 76, 76, 76, 75, 75, 75, 75, 75, 74, 74, 74, 74, 74, 73, 73, 73, 73, 73, 72, 72, 72, 72, 72, 71, 71,
    71, 71, 71, 71, 70, 70, 70, 70, 70, 70, 69, 69, 69, 69, 69, 69, 68, 68, 68, 68, 68, 68, 67, 67, 67, 67, 67, 67,
    67, 66, 66, 66, 66, 66, 66, 66, 65, 65, 65, 65, 65, 65, 65, 64, 64, 64, 64, 64, 64, 64, 64, 63, 63, 63, 63, 63,
    63, 63, 63,
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entrant(elo: i64, place: u32) -> Entrant {
        Entrant { rating: elo * 1000, place, solved: true, issue_k: K_ISSUE }
    }

    #[test]
    fn the_golden_contest() {
        let entrants = [entrant(1450, 1), entrant(1380, 2), entrant(1520, 3)];
        let outcome = contest(&entrants, 1_300_000, |_, _| weight(false, false, 0), |_| Keeps::ALL);
        assert_eq!(outcome, Outcome { agents: vec![20_744, 10_839, -17_132], issue: -14_451 });
        let shown: Vec<String> = outcome.agents.iter().map(|&x| show_change(x)).collect();
        assert_eq!(shown, ["+21", "+11", "-17"]);
    }

    #[test]
    fn tables_are_the_formulas() {
        for (i, &t) in T.iter().enumerate() {
            assert_eq!(t, (1e6 / (1.0 + 10f64.powf(-(i as f64) / 400.0))).round() as i64, "T[{i}]");
        }
        for (m, &d) in D.iter().enumerate() {
            assert_eq!(d, (1000.0 / (1.0 + m as f64).sqrt()).round() as i64, "D[{m}]");
        }
    }

    #[test]
    fn a_merge_at_parity_is_fifteen_and_its_revert_thirty() {
        assert_eq!(merged(START, START), 15_000);
        assert_eq!(reverted(START, START), -30_000);
        assert_eq!(game(START, START, LOSS, K_REJECTED), -5_000);
        // Against a much easier ticket a merge is worth little, against a much harder one nearly all of K.
        assert_eq!(merged(1_800_000, START), term(30_000, 1, 1_000_000 - 990_099, 1_000_000));
        assert_eq!(merged(START, 1_800_000), term(30_000, 1, 990_099, 1_000_000));
    }

    #[test]
    fn differences_round_to_whole_elo_on_both_sides() {
        for (d, same_as) in [(499, 0), (500, 1000), (-499, 0), (-500, -1000), (1499, 1000), (800_499, 800_000)] {
            assert_eq!(expected_ppm(d), expected_ppm(same_as), "{d}");
        }
        for d in [i64::MIN, -900_000, 900_000, i64::MAX] {
            assert_eq!(expected_ppm(d), expected_ppm(d.signum() * 800_000));
        }
    }

    #[test]
    fn tiers_begin_where_they_say() {
        for (rating, tier, shown) in [
            (i64::MIN, Tier::Bronze, "-9223372036854776"),
            (START, Tier::Bronze, "1000"),
            (1_199_999, Tier::Bronze, "1199"),
            (1_200_000, Tier::Silver, "1200"),
            (1_599_999, Tier::Silver, "1599"),
            (1_600_000, Tier::Gold, "1600"),
        ] {
            assert_eq!(Tier::of(rating), tier, "{rating}");
            assert_eq!(show(rating), shown);
        }
    }

    #[test]
    fn weights_shrink() {
        assert_eq!(weight(true, false, 0), 0);
        assert_eq!(weight(false, true, 0), 250);
        assert_eq!(weight(false, false, 0), 1000);
        assert_eq!(weight(false, false, 3), 500);
        assert_eq!(weight(false, true, 3), 125);
        assert_eq!(weight(false, false, usize::MAX), *D.last().unwrap());
    }

    fn some_entrants() -> impl Strategy<Value = Vec<Entrant>> {
        let one =
            (0i64..3_000_000, 1u32..6, any::<bool>(), prop_oneof![Just(0), Just(K_ISSUE), Just(K_ISSUE_PROVISIONAL)]);
        let one = one.prop_map(|(rating, place, solved, issue_k)| Entrant { rating, place, solved, issue_k });
        proptest::collection::vec(one, 1..8)
    }

    /// A weight that does not depend on the order of entrants, only on who they are.
    fn weight_of(a: &Entrant, b: &Entrant) -> i64 {
        [1000, 250, 0, 707, 577][((a.rating + b.rating) % 5) as usize]
    }

    /// The same of what is kept.
    fn keeps_of(entrants: &[Entrant]) -> impl Fn(usize) -> Keeps {
        |i| Keeps { pairs: [1000, 900, 333, 1][(entrants[i].rating % 4) as usize], issue: 500 }
    }

    fn settle(entrants: &[Entrant], issue: i64) -> Outcome {
        contest(entrants, issue, |i, j| weight_of(&entrants[i], &entrants[j]), keeps_of(entrants))
    }

    proptest! {
        #[test]
        fn nothing_is_made_or_lost(entrants in some_entrants(), issue in 0i64..3_000_000) {
            let outcome = settle(&entrants, issue);
            prop_assert_eq!(outcome.agents.iter().sum::<i64>() + outcome.issue, 0);
        }

        #[test]
        fn the_order_of_entrants_is_nothing(entrants in some_entrants(), issue in 0i64..3_000_000, turn in 0usize..8) {
            let straight = settle(&entrants, issue);
            let turn = turn % entrants.len();
            let mut turned = entrants.clone();
            turned.rotate_left(turn);
            turned.reverse();
            let mut expected = straight.agents.clone();
            expected.rotate_left(turn);
            expected.reverse();
            let outcome = settle(&turned, issue);
            prop_assert_eq!(outcome.agents, expected);
            prop_assert_eq!(outcome.issue, straight.issue);
        }

        #[test]
        fn a_better_place_never_costs(entrants in some_entrants(), who in 0usize..8, issue in 0i64..3_000_000) {
            let who = who % entrants.len();
            let mut better = entrants.clone();
            better[who].place -= 1;
            prop_assert!(settle(&better, issue).agents[who] >= settle(&entrants, issue).agents[who]);
        }

        #[test]
        fn equals_who_tie_gain_alike(entrants in some_entrants(), issue in 0i64..3_000_000) {
            let mut twins = entrants.clone();
            twins.push(twins[0]);
            let outcome = contest(&twins, issue, |_, _| 1000, |_| Keeps::ALL);
            prop_assert_eq!(outcome.agents[0], outcome.agents[twins.len() - 1]);
        }

        #[test]
        fn without_weight_nothing_moves(mut entrants in some_entrants(), issue in 0i64..3_000_000) {
            for entrant in &mut entrants {
                entrant.issue_k = 0;
            }
            let outcome = contest(&entrants, issue, |_, _| 0, |_| Keeps::ALL);
            prop_assert!(outcome.agents.iter().all(|&x| x == 0) && outcome.issue == 0);
        }

        #[test]
        fn both_sides_see_one_game(a in any::<i64>(), b in any::<i64>(), score in 0i64..=1_000_000, w in 0i64..=1000, n in 2usize..50) {
            // The difference saturates at the ends of i64 in a way that is not symmetric by one; ratings never get there.
            let (a, b) = (a / 2, b / 2);
            prop_assert_eq!(expected_ppm(a - b) + expected_ppm(b - a), 1_000_000);
            prop_assert_eq!(pair(a, b, score, w, n), -pair(b, a, WIN - score, w, n));
            prop_assert_eq!(game(a, b, score, K_MERGE), -game(b, a, WIN - score, K_MERGE));
        }

        #[test]
        fn no_input_panics(a in any::<i64>(), b in any::<i64>(), s in any::<i64>(), w in any::<i64>(), n in any::<usize>(), k in any::<i64>()) {
            pair(a, b, s, w, n);
            game(a, b, s, k);
            reverted(a, b);
            show(a);
            show_change(a);
        }

        #[test]
        fn expectation_grows_with_the_difference(d in -900_000i64..900_000) {
            prop_assert!(expected_ppm(d) <= expected_ppm(d + 1000));
        }
    }
}

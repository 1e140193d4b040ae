//! How fast a megabyte of Markdown is split for a messenger, and that a tenth and ten times of it cost the same per byte.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use openclaw_streaming::{LengthUnit, MessageLimit, split_message};
use std::hint::black_box;

const ENGLISH: &str = "## A heading\n\nSome prose with **bold words**, a [link](https://example.org/page) and `code`. It has \
     sentences of a usual length, as answers do; some are longer than others, and some are not.\n\n- a list item\n- \
     another one, with a few more words in it\n\n```rust\nfn main() {\n    println!(\"{}\", 42);\n}\n```\n\n";
const RUSSIAN: &str = "## Заголовок\n\nНемного текста: **жирные слова**, [ссылка](https://example.org/page) и `код`. Здесь \
     предложения обычной длины, как в ответах; одни длиннее, другие короче.\n\n- пункт списка\n- ещё один, подлиннее\n\n";

const JAPANESE: &str = "## 見出し\n\n本文です。**太字の言葉**、[リンク](https://example.org/page)、`コード`があります。普通の長さの文が続き、長いものも\
     短いものもあります。\n\n- 項目\n- もう少し長い項目です\n\n";
const ARABIC: &str = "## عنوان\n\nنص قصير فيه **كلمات عريضة** و[رابط](https://example.org/page) و`رمز`. فيه جمل بطول معتاد، بعضها أطول من بعض، \
     كما في الأجوبة.\n\n- بند\n- بند آخر أطول قليلا\n\n";
const EMOJI: &str = "👨‍👩‍👧‍👦 👍🏽 🇷🇺 ❤️ **🏳️‍🌈👩🏽‍🚀** 1️⃣🙂🙂🙂 [🌍](https://example.org/page)\n\n";

fn splitting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("splitting");
    let limit = MessageLimit::new(4_096, LengthUnit::Utf16);
    let sources = [
        ("english", ENGLISH),
        ("russian", RUSSIAN),
        ("japanese", JAPANESE),
        ("arabic", ARABIC),
        ("emoji", EMOJI),
    ];
    let sizes = [100 << 10, 1 << 20, 10 << 20];
    for ((name, source), bytes) in sources
        .into_iter()
        .flat_map(|source| sizes.map(|bytes| (source, bytes)))
    {
        let text = source.repeat(bytes / source.len());
        group.throughput(Throughput::Bytes(u64::try_from(text.len()).unwrap_or(u64::MAX)));
        group.bench_with_input(BenchmarkId::new(name, text.len()), &text, |bencher, text| {
            bencher.iter(|| split_message(black_box(text), limit).len());
        });
    }
    group.finish();
}

criterion_group!(benches, splitting);
criterion_main!(benches);

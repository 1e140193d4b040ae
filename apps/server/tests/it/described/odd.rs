//! What nobody in their right mind sends.

/// Queries that no operation understands, or all do.
pub(super) const QUERIES: &[&str] = &[
    "?limit=0",
    "?limit=999999999999999999999",
    "?limit=%ff%00&after=-1&before=x",
    "?chatId=%00&tenant=%&state=%20&by=1&sinceMs=x&inputTokens=-1",
    "?&&&=&=a&a=",
];

/// Bodies that are no request of any operation, and some that a lenient reader takes for one.
pub(super) fn bodies() -> Vec<Vec<u8>> {
    let mut bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "true",
        "[]",
        "\"text\"",
        "{",
        "{}}",
        "{\"text\":}",
        "{\"text\":null}",
        "{\"text\":{}}",
        "{\"text\":[1]}",
        "{\"text\":\"\\ud800\"}",
        "{\"text\":\"\\u0000\"}",
        "{\"text\":\"a\\u0000b\",\"user\":\"a\\u0000b\"}",
        "{\"text\":\"one\",\"text\":\"two\"}",
        "{\"model\":\"auto\",\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"auto\",\"messages\":[{\"role\":\"user\",\"role\":\"system\",\"content\":\"hi\"}]}",
        "{\"model\":\"auto\",\"max_tokens\":1e999,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"auto\",\"max_tokens\":123456789012345678901234567890,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"model\":\"auto\",\"temperature\":-0.0e-999,\"seed\":-9223372036854775809,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"tier\":\"gold\",\"user\":\"\",\"expiresInDays\":-1,\"unlimited\":\"yes\"}",
        "{\"user\":7,\"tier\":[]}",
        "{\"update_id\":1e400}",
        "{\"__proto__\":{\"text\":\"x\"}}",
        "\u{feff}{}",
    ]
    .iter()
    .map(|body| body.as_bytes().to_vec())
    .collect();
    bodies.extend([
        b"\0".to_vec(),
        b"\xff\xfe{\0}\0".to_vec(),
        b"{\"text\":\"\xc3\x28\"}".to_vec(),
        b"{\"text\":\"\xed\xa0\x80\"}".to_vec(),
        b"[".repeat(100_000),
        b"{\"text\":".repeat(50_000),
        format!("{{\"text\":{}1}}", "1".repeat(10_000)).into_bytes(),
        format!("{{\"{}\":1}}", "k".repeat(100_000)).into_bytes(),
        format!("{{{}\"text\":\"hi\"}}", "\"a\":1,".repeat(20_000)).into_bytes(),
        vec![b'x'; 2 << 20],
    ]);
    bodies
}

/// Requests that are none, for a path; each is written as it stands.
pub(super) fn requests(path: &str, credential: &str) -> Vec<Vec<u8>> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {credential}\r\n");
    let chunked = format!("{head}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    [
        // Sizes of chunks that are none, negative, too large, and one that ends too soon.
        format!("{chunked}zz\r\n{{}}\r\n0\r\n\r\n"),
        format!("{chunked}-1\r\n{{}}\r\n0\r\n\r\n"),
        format!("{chunked}ffffffffffffffffff\r\n{{}}\r\n"),
        format!("{chunked}40\r\n{{}}"),
        format!("{chunked}2\r\n{{}}0\r\n\r\n"),
        // Two lengths, and a length that is none.
        format!("{head}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}x"),
        format!("{head}content-length: -5\r\n\r\n{{}}"),
        format!("{head}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        // Headers that are none.
        format!("{head}bad header\r\n\r\n"),
        format!("{head}x: a\0b\r\n\r\n"),
        format!("{head}content-type: \u{7f}\r\ncontent-length: 2\r\n\r\n{{}}"),
        format!("{head}{}\r\n", "x: y\r\n".repeat(5_000)),
        format!("POST {path} HTTP/9.9\r\nhost: x\r\n\r\n"),
        format!("POST {path}\0 HTTP/1.1\r\nhost: x\r\n\r\n"),
        "\r\n\r\n\r\n".to_owned(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .collect()
}

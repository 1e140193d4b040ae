//! Load generator for OpenAI-style chat endpoints over plain HTTP/1.1.
//!
//! load --url http://127.0.0.1:9100/v1/chat/completions [--mode sat|rate] [--conns 32]
//!      [--rps 20] [--secs 10] [--warm 2] [--stream] [--include-usage] [--model mock-c64]
//!      [--prompt-bytes 400] [--header 'k: v']... [--label name]
//!      [--abort-after N]   (stream only: drop the connection after N data events)
//!
//! sat:  closed loop, every connection sends back to back.
//! rate: open loop, request i is due at start + i/rps; when a connection is still busy
//!       at the due time, latency counts from the due time, so a stalled server is not
//!       hidden by the client waiting for it.
//! One JSON line on stdout. Times in ms. ttfc = time to the first `data:` event with content.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

#[derive(Clone)]
struct Cfg {
    host: String,
    path: String,
    rate: bool,
    conns: usize,
    rps: f64,
    secs: f64,
    warm: f64,
    stream: bool,
    headers: Vec<(String, String)>,
    body: Bytes,
    abort_after: usize,
}

#[derive(Default)]
struct Res {
    lat: Vec<f64>,
    ttfc: Vec<f64>,
    gaps: Vec<f64>,
    ok: u64,
    err: u64,
    chunks: u64,
    bytes: u64,
    done: u64,
    usage: u64,
    kinds: BTreeMap<String, u64>,
}

fn pct(v: &[f64], p: f64) -> f64 {
    if v.is_empty() {
        return f64::NAN;
    }
    let i = ((v.len() as f64 - 1.0) * p).round() as usize;
    (v[i] * 1000.0).round() / 1000.0
}

async fn connect(host: &str) -> Result<SendRequest<Full<Bytes>>, String> {
    let s = TcpStream::connect(host)
        .await
        .map_err(|e| format!("connect:{}", e.kind()))?;
    s.set_nodelay(true).ok();
    let (tx, conn) = handshake(TokioIo::new(s))
        .await
        .map_err(|_| "handshake".to_string())?;
    tokio::spawn(async move {
        let _ = conn.await;
    });
    Ok(tx)
}

/// Returns Ok(true) when the connection can be reused.
async fn one(
    c: &Cfg,
    tx: &mut SendRequest<Full<Bytes>>,
    t0: Instant,
    r: &mut Res,
    rec: bool,
) -> Result<bool, String> {
    tx.ready().await.map_err(|_| "conn_closed".to_string())?;
    let mut b = Request::post(&c.path)
        .header("host", &c.host)
        .header("content-type", "application/json");
    for (k, v) in &c.headers {
        b = b.header(k, v);
    }
    let resp = tx
        .send_request(b.body(Full::new(c.body.clone())).unwrap())
        .await
        .map_err(|_| "send".to_string())?;
    let st = resp.status().as_u16();
    let mut body = resp.into_body();
    let (mut n, mut first, mut last) = (0usize, None::<Instant>, None::<Instant>);
    let mut line: Vec<u8> = Vec::with_capacity(1024);
    let mut bytes = 0u64;
    let (mut done, mut usage, mut inband_err) = (false, false, false);
    let mut gaps = Vec::new();
    while let Some(f) = body.frame().await {
        let f = f.map_err(|_| "body_cut".to_string())?;
        let Some(d) = f.data_ref() else { continue };
        bytes += d.len() as u64;
        if !c.stream {
            continue;
        }
        let now = Instant::now();
        for &ch in d.iter() {
            if ch != b'\n' {
                line.push(ch);
                continue;
            }
            if line.starts_with(b"data:") {
                if line.windows(6).any(|w| w == b"[DONE]") {
                    done = true;
                } else if line.windows(9).any(|w| w == b"\"content\"")
                    || line.windows(10).any(|w| w == b"text_delta")
                {
                    n += 1;
                    if first.is_none() {
                        first = Some(now);
                    }
                    if let Some(l) = last {
                        gaps.push((now - l).as_secs_f64() * 1e3);
                    }
                    last = Some(now);
                }
                if line.windows(8).any(|w| w == b"\"usage\":")
                    && line.windows(15).any(|w| w == b"\"prompt_tokens\"")
                {
                    usage = true;
                }
                if line.windows(8).any(|w| w == b"\"error\":") {
                    inband_err = true;
                }
            }
            line.clear();
        }
        if c.abort_after > 0 && n >= c.abort_after {
            return Ok(false);
        }
    }
    if !rec {
        return Ok(true);
    }
    if st != 200 {
        return Err(format!("http_{st}"));
    }
    if inband_err {
        return Err("inband_error".into());
    }
    r.lat.push(t0.elapsed().as_secs_f64() * 1e3);
    if let Some(f) = first {
        r.ttfc.push((f - t0).as_secs_f64() * 1e3);
    }
    r.gaps.append(&mut gaps);
    r.ok += 1;
    r.chunks += n as u64;
    r.bytes += bytes;
    r.done += done as u64;
    r.usage += usage as u64;
    Ok(true)
}

async fn worker(c: Cfg, id: usize, start: Instant) -> Res {
    let mut r = Res::default();
    let end = start + Duration::from_secs_f64(c.warm + c.secs);
    let rec_from = start + Duration::from_secs_f64(c.warm);
    let mut conn: Option<SendRequest<Full<Bytes>>> = None;
    let mut i = id as f64;
    loop {
        let due = if c.rate {
            let d = start + Duration::from_secs_f64(i / c.rps);
            i += c.conns as f64;
            if Instant::now() < d {
                // On time: count from the real send, so the 1 ms timer grain is not in the result.
                tokio::time::sleep_until(d.into()).await;
                Instant::now()
            } else {
                d
            } // late because the previous answer was slow: count from the due time
        } else {
            Instant::now()
        };
        if due >= end {
            break;
        }
        let rec = due >= rec_from;
        if conn.is_none() {
            match connect(&c.host).await {
                Ok(x) => conn = Some(x),
                Err(e) => {
                    if rec {
                        r.err += 1;
                        *r.kinds.entry(e).or_default() += 1;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            }
        }
        let t = tokio::time::timeout(
            Duration::from_secs(60),
            one(&c, conn.as_mut().unwrap(), due, &mut r, rec),
        )
        .await;
        match t {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => conn = None,
            Ok(Err(e)) => {
                if rec {
                    r.err += 1;
                    *r.kinds.entry(e.clone()).or_default() += 1;
                }
                if !e.starts_with("http_") && e != "inband_error" {
                    conn = None;
                }
            }
            Err(_) => {
                if rec {
                    r.err += 1;
                    *r.kinds.entry("timeout".into()).or_default() += 1;
                }
                conn = None;
            }
        }
    }
    r
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut url, mut mode, mut label, mut model) = (
        String::new(),
        "sat".to_string(),
        String::new(),
        "mock-c64".to_string(),
    );
    let (mut conns, mut rps, mut secs, mut warm, mut pb, mut abort_after) =
        (32usize, 20.0, 10.0, 2.0, 400usize, 0usize);
    let (mut stream, mut usage, mut headers) = (false, false, Vec::new());
    let mut a = std::env::args().skip(1);
    while let Some(k) = a.next() {
        let mut v = || a.next().unwrap_or_else(|| panic!("value for {k}"));
        match k.as_str() {
            "--url" => url = v(),
            "--mode" => mode = v(),
            "--label" => label = v(),
            "--model" => model = v(),
            "--conns" => conns = v().parse().unwrap(),
            "--rps" => rps = v().parse().unwrap(),
            "--secs" => secs = v().parse().unwrap(),
            "--warm" => warm = v().parse().unwrap(),
            "--prompt-bytes" => pb = v().parse().unwrap(),
            "--abort-after" => abort_after = v().parse().unwrap(),
            "--stream" => stream = true,
            "--include-usage" => usage = true,
            "--header" => {
                let h = v();
                let (a, b) = h.split_once(':').expect("header k: v");
                headers.push((a.trim().into(), b.trim().into()));
            }
            _ => panic!("unknown argument {k}"),
        }
    }
    let rest = url.strip_prefix("http://").expect("http:// url");
    let (host, path) = rest.split_once('/').expect("path");
    let mut body = serde_json::json!({"model": model, "max_tokens": 256, "messages": [
        {"role":"system","content":"You are a helpful assistant."},
        {"role":"user","content":"word ".repeat(pb / 5)}]});
    if stream {
        body["stream"] = true.into();
    }
    if stream && usage {
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    let c = Cfg {
        host: host.into(),
        path: format!("/{path}"),
        rate: mode == "rate",
        conns,
        rps,
        secs,
        warm,
        stream,
        headers,
        body: Bytes::from(body.to_string()),
        abort_after,
    };
    let start = Instant::now() + Duration::from_millis(50);
    let hs: Vec<_> = (0..conns)
        .map(|i| tokio::spawn(worker(c.clone(), i, start)))
        .collect();
    let mut t = Res::default();
    for h in hs {
        let r = h.await.unwrap();
        t.lat.extend(r.lat);
        t.ttfc.extend(r.ttfc);
        t.gaps.extend(r.gaps);
        t.ok += r.ok;
        t.err += r.err;
        t.chunks += r.chunks;
        t.bytes += r.bytes;
        t.done += r.done;
        t.usage += r.usage;
        for (k, v) in r.kinds {
            *t.kinds.entry(k).or_default() += v;
        }
    }
    let wall = (start.elapsed().as_secs_f64() - warm).max(0.001);
    for v in [&mut t.lat, &mut t.ttfc, &mut t.gaps] {
        v.sort_by(|a, b| a.total_cmp(b));
    }
    let mean = t.lat.iter().sum::<f64>() / t.lat.len().max(1) as f64;
    let r2 = |x: f64| (x * 100.0).round() / 100.0;
    println!(
        "{}",
        serde_json::json!({"label":label,"mode":mode,"stream":stream,"conns":conns,"ok":t.ok,"err":t.err,"errors":t.kinds,
        "rps":r2(t.ok as f64/wall),"mean":r2(mean),"p50":pct(&t.lat,0.5),"p90":pct(&t.lat,0.9),"p99":pct(&t.lat,0.99),"p999":pct(&t.lat,0.999),"max":pct(&t.lat,1.0),
        "ttfc_p50":pct(&t.ttfc,0.5),"ttfc_p99":pct(&t.ttfc,0.99),"gap_p50":pct(&t.gaps,0.5),"gap_p99":pct(&t.gaps,0.99),
        "chunks_per_s":r2(t.chunks as f64/wall),"bytes":t.bytes,"done_seen":t.done,"usage_seen":t.usage})
    );
}

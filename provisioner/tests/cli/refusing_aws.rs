//! An endpoint that refuses every call with one error, in the form of the service that was called.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

/// The URL of an endpoint that refuses whatever it is asked, for as long as the test runs.
pub(crate) fn refusing(status: u16, code: &'static str, message: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream, status, code, message));
        }
    });
    url
}

/// Answers requests until the other side closes the connection.
fn serve(stream: TcpStream, status: u16, code: &str, message: &str) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.and_then(|length| length.trim().parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        // The credential scope in the signature tells the service; STS and IAM speak XML, the others JSON.
        let answer = if head.contains("/sts/aws4_request") || head.contains("/iam/aws4_request") {
            format!(
                "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
            )
        } else {
            format!(r#"{{"message":"{message}"}}"#)
        };
        write!(
            writer,
            "HTTP/1.1 {status} Refused\r\nx-amzn-errortype: {code}\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )
        .ok()?;
    }
}

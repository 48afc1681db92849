//! The bodies of Smithy RPC v2 CBOR (<https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>) as JSON, and JSON as such
//! bodies. Timestamps are seconds since 1970 in both; in CBOR they have the tag 1.

use minicbor::data::{IanaTag, Type};
use minicbor::decode::{Decoder, Error};
use minicbor::encode::{Encoder, Error as Unwritten};
use serde_json::{Map, Number, Value};

use super::reply::ServiceError;

/// The content type of bodies.
pub(super) const CONTENT_TYPE: &str = "application/cbor";

/// How deep values may be in each other.
const DEEPEST: usize = 32;

/// The operation that a path names: `/service/NAME/operation/NAME`.
pub(super) fn operation(path: &str) -> Option<&str> {
    path.strip_prefix("/service/")?.split_once("/operation/").map(|(_, operation)| operation)
}

/// The value in a body; an empty one has no fields.
///
/// # Errors
/// `SerializationException`: no CBOR, or CBOR that AWS has no use for, such as byte strings.
pub(super) fn decode(body: &[u8]) -> Result<Value, ServiceError> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    read(&mut Decoder::new(body), DEEPEST)
        .map_err(|error| ServiceError::new("SerializationException", 400, format!("request body: {error}")))
}

fn read(from: &mut Decoder<'_>, deepest: usize) -> Result<Value, Error> {
    let Some(deeper) = deepest.checked_sub(1) else {
        return Err(Error::message("too many values in each other"));
    };
    Ok(match from.datatype()? {
        Type::Bool => from.bool()?.into(),
        Type::Null | Type::Undefined => {
            from.skip()?;
            Value::Null
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => from.u64()?.into(),
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => from.i64()?.into(),
        Type::F16 | Type::F32 | Type::F64 => from.f64()?.into(),
        Type::String | Type::StringIndef => text(from)?.into(),
        Type::Array | Type::ArrayIndef => {
            let mut left = from.array()?;
            let mut items = Vec::new();
            while goes_on(from, &mut left)? {
                items.push(read(from, deeper)?);
            }
            items.into()
        }
        Type::Map | Type::MapIndef => {
            let mut left = from.map()?;
            let mut fields = Map::new();
            while goes_on(from, &mut left)? {
                let name = text(from)?;
                fields.insert(name, read(from, deeper)?);
            }
            fields.into()
        }
        Type::Tag => {
            from.tag()?;
            read(from, deeper)?
        }
        other => return Err(Error::type_mismatch(other)),
    })
}

fn text(from: &mut Decoder<'_>) -> Result<String, Error> {
    from.str_iter()?.collect()
}

/// Whether there is another item; `left` is how many there are, unless a break ends them.
fn goes_on(from: &mut Decoder<'_>, left: &mut Option<u64>) -> Result<bool, Error> {
    match left {
        Some(left) => {
            let goes_on = *left > 0;
            *left = left.saturating_sub(1);
            Ok(goes_on)
        }
        None if from.datatype()? == Type::Break => from.skip().map(|()| false),
        None => Ok(true),
    }
}

/// The body with a value. A number in a field whose name ends with `Timestamp` is a timestamp.
pub(super) fn encode(value: &Value) -> Vec<u8> {
    let mut into = Encoder::new(Vec::new());
    // Writing into memory does not fail.
    let _ = write(&mut into, value);
    into.into_writer()
}

fn write(
    into: &mut Encoder<Vec<u8>>,
    value: &Value,
) -> Result<(), Unwritten<<Vec<u8> as minicbor::encode::Write>::Error>> {
    match value {
        Value::Null => into.null()?,
        Value::Bool(value) => into.bool(*value)?,
        Value::Number(number) => return write_number(into, number),
        Value::String(text) => into.str(text)?,
        Value::Array(items) => {
            into.array(items.len() as u64)?;
            return items.iter().try_for_each(|item| write(into, item));
        }
        Value::Object(fields) => {
            into.map(fields.len() as u64)?;
            for (name, value) in fields {
                into.str(name)?;
                if name.ends_with("Timestamp") && value.is_number() {
                    into.tag(IanaTag::Timestamp)?;
                }
                write(into, value)?;
            }
            into
        }
    };
    Ok(())
}

fn write_number(
    into: &mut Encoder<Vec<u8>>,
    number: &Number,
) -> Result<(), Unwritten<<Vec<u8> as minicbor::encode::Write>::Error>> {
    match (number.as_u64(), number.as_i64()) {
        (Some(number), _) => into.u64(number)?,
        (None, Some(number)) => into.i64(number)?,
        (None, None) => into.f64(number.as_f64().unwrap_or_default())?,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_to_the_same() {
        let value =
            json!({"Name": "ä", "List": [1, -2, 0.5, true, null], "UpdatedTimestamp": 1.25, "Map": {}});
        let body = encode(&value);
        assert_eq!(decode(&body).unwrap(), value);
        // RFC 8949, section 3.4.2: the tag 1 is 0xc1.
        assert!(body.contains(&0xc1), "{body:x?}");
    }

    #[test]
    fn maps_lists_and_texts_without_a_length_are_read() {
        // RFC 8949, appendix A: {_ "a": 1, "b": [_ 2, 3]} and (_ "strea", "ming").
        let map = hex::decode("bf61610161629f0203ffff").unwrap();
        assert_eq!(decode(&map).unwrap(), json!({"a": 1, "b": [2, 3]}));
        let text = hex::decode("7f657374726561646d696e67ff").unwrap();
        assert_eq!(decode(&text).unwrap(), json!("streaming"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for body in [&b"\x81"[..], b"\xa1\x01\x02", b"\x41\x00", b"\xff", &[0x81; 100_000]] {
            assert_eq!(decode(body).unwrap_err().code, "SerializationException");
        }
    }
}

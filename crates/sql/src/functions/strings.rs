//! Functions on character and byte strings (PostgreSQL 9.4, 9.5, 9.7).

use super::{Nullability, Parameter, Returns, Signature, table};
use crate::{bound::ScalarFunction, types::DataType};

pub(super) const SIGNATURES: &[Signature] = &{
    const FIXED: &[Signature] = table! {
        "length" Length (Text) -> Int4;
        "length" Length (Bytea) -> Int4;
        "char_length" Length (Text) -> Int4;
        "character_length" Length (Text) -> Int4;
        "octet_length" OctetLength (Text) -> Int4;
        "octet_length" OctetLength (Bytea) -> Int4;
        "bit_length" BitLength (Text) -> Int4;
        "bit_length" BitLength (Bytea) -> Int4;
        "lower" Lower (Text) -> Text;
        "upper" Upper (Text) -> Text;
        "initcap" Initcap (Text) -> Text;
        "btrim" Trim (Text) -> Text;
        "btrim" Trim (Text, Text) -> Text;
        "btrim" Trim (Bytea, Bytea) -> Bytea;
        "ltrim" LeftTrim (Text) -> Text;
        "ltrim" LeftTrim (Text, Text) -> Text;
        "rtrim" RightTrim (Text) -> Text;
        "rtrim" RightTrim (Text, Text) -> Text;
        "substring" Substring (Text, Int4) -> Text;
        "substring" Substring (Text, Int4, Int4) -> Text;
        "substring" Substring (Bytea, Int4) -> Bytea;
        "substring" Substring (Bytea, Int4, Int4) -> Bytea;
        "substring" Substring (Text, Text) -> Text Always;
        "substr" Substring (Text, Int4) -> Text;
        "substr" Substring (Text, Int4, Int4) -> Text;
        "substr" Substring (Bytea, Int4) -> Bytea;
        "substr" Substring (Bytea, Int4, Int4) -> Bytea;
        "position" Position (Text, Text) -> Int4;
        "position" Position (Bytea, Bytea) -> Int4;
        "strpos" Position (Text, Text) -> Int4;
        "replace" Replace (Text, Text, Text) -> Text;
        "overlay" Overlay (Text, Text, Int4) -> Text;
        "overlay" Overlay (Text, Text, Int4, Int4) -> Text;
        "left" Left (Text, Int4) -> Text;
        "right" Right (Text, Int4) -> Text;
        "lpad" LeftPad (Text, Int4) -> Text;
        "lpad" LeftPad (Text, Int4, Text) -> Text;
        "rpad" RightPad (Text, Int4) -> Text;
        "rpad" RightPad (Text, Int4, Text) -> Text;
        "repeat" Repeat (Text, Int4) -> Text;
        "reverse" Reverse (Text) -> Text;
        "split_part" SplitPart (Text, Text, Int4) -> Text;
        "starts_with" StartsWith (Text, Text) -> Boolean;
        "chr" Chr (Int4) -> Text;
        "ascii" Ascii (Text) -> Int4;
        "translate" Translate (Text, Text, Text) -> Text;
        "md5" Md5 (Text) -> Text;
        "md5" Md5 (Bytea) -> Text;
        "to_hex" ToHex (Int4) -> Text;
        "to_hex" ToHex (Int8) -> Text;
        "quote_ident" QuoteIdent (Text) -> Text;
        "quote_literal" QuoteLiteral (Text) -> Text;
        "regexp_replace" RegexpReplace (Text, Text, Text) -> Text;
        "regexp_replace" RegexpReplace (Text, Text, Text, Text) -> Text;
        "regexp_like" RegexpLike (Text, Text) -> Boolean;
        "regexp_like" RegexpLike (Text, Text, Text) -> Boolean;
        "format" Format (Text) -> Text;
        "format" Format (Text; Any) -> Text First;
        "quote_nullable" QuoteNullable (Any) -> Text Never;
        "bit_count" BitCount (Bytea) -> Int8;
        "get_byte" GetByte (Bytea, Int4) -> Int4;
        "get_bit" GetBit (Bytea, Int8) -> Int4;
        "set_byte" SetByte (Bytea, Int4, Int4) -> Bytea;
        "set_bit" SetBit (Bytea, Int8, Int4) -> Bytea;
        "encode" Encode (Bytea, Text) -> Text;
        "decode" Decode (Text, Text) -> Bytea;
    };
    let mut all = [FIXED[0]; FIXED.len() + 2];
    let mut index = 0;
    while index < FIXED.len() {
        all[index] = FIXED[index];
        index += 1;
    }
    all[index] = Signature {
        name: "concat",
        function: ScalarFunction::Concat,
        parameters: &[Parameter::Any],
        variadic: true,
        returns: Returns::Type(DataType::Text),
        nullability: Nullability::Never,
    };
    all[index + 1] = Signature {
        name: "concat_ws",
        function: ScalarFunction::ConcatWs,
        parameters: &[Parameter::Type(DataType::Text), Parameter::Any],
        variadic: true,
        returns: Returns::Type(DataType::Text),
        nullability: Nullability::First,
    };
    all
};

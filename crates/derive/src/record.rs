//! `#[derive(Record)]`: the values of a format of Python's struct.

use crate::fields::{self, Borrowed};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DeriveInput, Error, LitStr, Member, Result, Type};

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let fields = fields::of(input)?;
    let members: Vec<Member> = fields.iter().map(|(member, _)| member.clone()).collect();
    let types: Vec<&Type> = fields.iter().map(|(_, field)| &field.ty).collect();
    let format = fields::text(input, "record")?;
    if let Some(text) = &format {
        check(text, members.len())?;
    }
    let from = from_fields(input, &members, &types)?;
    let into = into_fields(input, &members, &types)?;
    let record = format.map(|text| record(input, &text, &members)).transpose()?;
    Ok(quote!(#from #into #record))
}

fn from_fields(input: &DeriveInput, members: &[Member], types: &[&Type]) -> Result<TokenStream> {
    let borrowed = Borrowed::of(input)?;
    let life = &borrowed.lifetime;
    let bound = quote!(::unglue_struct::FromField<#life>);
    let head = borrowed.head(input, &quote!(::unglue_struct::FromFields<#life>), &bound, types);
    let names: Vec<_> = (0..members.len()).map(|index| format_ident!("value{index}")).collect();
    let (len, indices) = (members.len(), 0..members.len());
    Ok(quote! {
        #[automatically_derived]
        #head {
            const LEN: usize = #len;
            const SHAPE: ::unglue_struct::__private::Shape =
                ::unglue_struct::__private::Shape::EMPTY #(.then(<#types as #bound>::KIND))*;

            #[inline]
            fn from_plain(record: &[u8], big: bool) -> ::core::option::Option<Self> {
                let rest = record;
                if rest.len() != 0 #(+ ::core::mem::size_of::<#types>())* {
                    return ::core::option::Option::None;
                }
                #(let (bytes, rest) = rest.split_at_checked(::core::mem::size_of::<#types>())?;
                let #names = <#types as #bound>::from_plain(bytes, big)?;)*
                rest.is_empty().then_some(Self { #(#members: #names),* })
            }

            #[inline]
            fn from_fields(
                values: &mut ::unglue_struct::Values<'_, #life>,
            ) -> ::core::result::Result<Self, ::unglue_struct::Error> {
                ::core::result::Result::Ok(Self {
                    #(#members: ::unglue_struct::__private::next_field::<#types>(values, #indices, #len)?),*
                })
            }
        }
    })
}

fn into_fields(input: &DeriveInput, members: &[Member], types: &[&Type]) -> Result<TokenStream> {
    let mut generics = input.generics.clone();
    generics.params.insert(0, syn::parse_quote!('unglue_values));
    if input.generics.type_params().next().is_some() {
        let clause = generics.make_where_clause();
        let bounds = types.iter().map(|ty| -> syn::WherePredicate { syn::parse_quote!(#ty: ::unglue_struct::ToField) });
        clause.predicates.extend(bounds);
    }
    let (params, _, clause) = generics.split_for_impl();
    let (_, arguments, _) = input.generics.split_for_impl();
    let (name, len) = (&input.ident, members.len());
    Ok(quote! {
        #[automatically_derived]
        impl #params ::unglue_struct::IntoFields<'unglue_values> for &'unglue_values #name #arguments #clause {
            type Fields = [::unglue_struct::Value<'unglue_values>; #len];

            #[inline]
            fn into_fields(self) -> Self::Fields {
                [#(::unglue_struct::ToField::to_value(&self.#members)),*]
            }
        }
    })
}

fn record(input: &DeriveInput, text: &LitStr, members: &[Member]) -> Result<TokenStream> {
    let mut generics = input.generics.clone();
    if input.generics.type_params().next().is_some() {
        let clause = generics.make_where_clause();
        let types = fields::of(input)?;
        let bounds = types.iter().map(|(_, field)| -> syn::WherePredicate {
            let ty = &field.ty;
            syn::parse_quote!(#ty: ::unglue_struct::ToField)
        });
        clause.predicates.extend(bounds);
    }
    let (params, _, clause) = generics.split_for_impl();
    let (_, arguments, _) = input.generics.split_for_impl();
    let (name, len) = (&input.ident, members.len());
    Ok(quote! {
        #[automatically_derived]
        impl #params ::unglue_struct::Record for #name #arguments #clause {
            const FORMAT: &'static str = #text;

            fn pack_with(
                &self,
                format: &::unglue_struct::Format,
            ) -> ::core::result::Result<::unglue_struct::__private::Vec<u8>, ::unglue_struct::Error> {
                let values: [::unglue_struct::Value<'_>; #len] = [#(::unglue_struct::ToField::to_value(&self.#members)),*];
                format.pack(&values)
            }
        }
    })
}

/// Refuses a format that can't be one, or has another number of values than the struct has fields.
fn check(text: &LitStr, fields: usize) -> Result<()> {
    let format = text.value();
    let values = count(&format).map_err(|wrong| Error::new(text.span(), wrong))?;
    if values == fields {
        return Ok(());
    }
    let values = if values == 1 { "1 value".into() } else { format!("{values} values") };
    Err(Error::new(text.span(), format!("the format {format:?} has {values}, the struct {fields}: make them agree")))
}

/// The values of a format.
fn count(format: &str) -> core::result::Result<usize, String> {
    let codes = format.trim_start_matches(['@', '=', '<', '>', '!']);
    let native = !format.starts_with(['=', '<', '>', '!']);
    if format.len() - codes.len() > 1 {
        return Err(format!("the format {format:?} has more than one mark for its byte order"));
    }
    let (mut values, mut number) = (0_usize, None::<usize>);
    for letter in codes.chars() {
        match letter {
            '0'..='9' => {
                let digit = letter as usize - '0' as usize;
                let grown = number.unwrap_or(0).checked_mul(10).and_then(|number| number.checked_add(digit));
                number = Some(grown.ok_or("a count in the format is too large")?);
                continue;
            }
            letter if letter.is_ascii_whitespace() && number.is_none() => continue,
            'x' => {}
            's' | 'p' => values += 1,
            'n' | 'N' | 'P' if !native => {
                return Err(format!("{letter:?} exists in native mode only: the format {format:?} has standard sizes"));
            }
            letter if "cbB?hHiIlLqQnNefdP".contains(letter) => {
                values = values.checked_add(number.unwrap_or(1)).ok_or("the format has too many values")?;
            }
            letter => return Err(format!("{letter:?} is not a code of Python's struct, in the format {format:?}")),
        }
        number = None;
    }
    number.map_or(Ok(values), |_| Err(format!("the format {format:?} ends with a count")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_as_python_counts_them() {
        for (format, values) in
            [("<IHHQd", 5), ("", 0), ("@3i 2x4s0p0d", 5), ("x", 0), ("12B", 12), ("!?c", 2), ("nNP", 3)]
        {
            assert_eq!(count(format), Ok(values), "{format}");
        }
        for format in ["<n", "<<I", "3", "j", "4 I", "<é", "99999999999999999999B"] {
            assert!(count(format).is_err(), "{format}");
        }
    }
}

//! `#[derive(Frame)]`: the fields of a framing.

use crate::fields::{self, Borrowed};
use crate::layout;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Error, Field, LitStr, Member, Result, Type};

/// The struct's fields, sorted out.
struct Mapped<'i> {
    /// Those of the framing: their names there, in the order of the struct.
    fields: Vec<(Member, &'i Type, String)>,
    /// The one that holds the message.
    data: Option<(Member, &'i Type)>,
}

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let mapped = Mapped::of(input)?;
    let missing = r#"say which framing this is: #[frame("tag:u8 len:u32be data[len-4]")]"#;
    let notation = fields::text(input, "frame")?.ok_or_else(|| Error::new_spanned(&input.ident, missing))?;
    let order = mapped.order(&notation, input)?;
    match &mapped.data {
        Some(data) => message(input, &notation, &mapped, data, &order),
        None => header(input, &notation, &mapped, &order),
    }
}

impl<'i> Mapped<'i> {
    fn of(input: &'i DeriveInput) -> Result<Mapped<'i>> {
        let mut mapped = Mapped { fields: Vec::new(), data: None };
        for (member, field) in fields::of(input)? {
            match Role::of(field)? {
                Role::Data if mapped.data.is_some() => {
                    return Err(Error::new_spanned(
                        field,
                        "a frame has its data once: another field is #[frame(data)] already",
                    ));
                }
                Role::Data => mapped.data = Some((member, &field.ty)),
                Role::Field(name) => mapped.fields.push((member, &field.ty, name)),
            }
        }
        Ok(mapped)
    }

    /// For each field of the framing, in its order, the index among the struct's.
    fn order(&self, notation: &LitStr, input: &DeriveInput) -> Result<Vec<usize>> {
        let Some(layout) = layout::fields(&notation.value()) else {
            return Ok((0..self.fields.len()).collect());
        };
        let known = if layout.is_empty() { "no fields".into() } else { format!("the fields {}", layout.join(", ")) };
        for (member, _, name) in &self.fields {
            if !layout.contains(name) {
                let wrong = format!("the layout has {known}, not {name}: rename it, or say #[frame(name = \"…\")]");
                return Err(Error::new_spanned(member, wrong));
            }
        }
        let place = |name: &String| {
            let mut places = self.fields.iter().enumerate().filter(|(_, (_, _, own))| own == name);
            match (places.next(), places.next()) {
                (Some((index, _)), None) => Ok(index),
                (Some(_), Some((_, (member, _, _)))) => {
                    Err(Error::new_spanned(member, format!("two fields of the struct are called {name}")))
                }
                (None, _) => {
                    Err(Error::new_spanned(&input.ident, format!("the layout has a field {name}: the struct lacks it")))
                }
            }
        };
        layout.iter().map(place).collect()
    }
}

/// What a field of the struct is.
enum Role {
    Data,
    Field(String),
}

impl Role {
    fn of(field: &Field) -> Result<Role> {
        let mut role = None;
        for attribute in fields::named(&field.attrs, "frame") {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("data") {
                    role = Some(Role::Data);
                    return Ok(());
                }
                if meta.path.is_ident("name") {
                    role = Some(Role::Field(meta.value()?.parse::<LitStr>()?.value()));
                    return Ok(());
                }
                Err(meta.error("a field is #[frame(data)] or #[frame(name = \"…\")]"))
            })?;
        }
        let named = field.ident.as_ref().map(|ident| ident.to_string().trim_start_matches("r#").to_owned());
        match (role, named) {
            (Some(role), _) => Ok(role),
            (None, Some(name)) => Ok(Role::Field(name)),
            (None, None) => {
                Err(Error::new_spanned(field, "give this field a name: #[frame(name = \"…\")] or #[frame(data)]"))
            }
        }
    }
}

/// The parts that both traits share.
struct Parts {
    names: Vec<String>,
    read: Vec<TokenStream>,
    write: Vec<TokenStream>,
}

impl Parts {
    fn of(mapped: &Mapped<'_>, order: &[usize]) -> Parts {
        let at = |place: usize| order.iter().position(|index| *index == place).unwrap_or(place);
        let read = mapped.fields.iter().enumerate().map(|(place, (member, ty, name))| {
            let index = at(place);
            quote!(#member: ::unglue_frame::typed::read_field::<#ty>(fields, #index, #name)?)
        });
        let write = order.iter().map(|index| {
            let member = &mapped.fields[*index].0;
            quote!(::unglue_frame::typed::FieldValue::to_field(&self.#member))
        });
        Parts {
            names: order.iter().map(|index| mapped.fields[*index].2.clone()).collect(),
            read: read.collect(),
            write: write.collect(),
        }
    }
}

/// A struct with fields alone.
fn header(input: &DeriveInput, notation: &LitStr, mapped: &Mapped<'_>, order: &[usize]) -> Result<TokenStream> {
    let Parts { names, read, write } = Parts::of(mapped, order);
    let (params, arguments, clause) = input.generics.split_for_impl();
    let (name, len) = (&input.ident, names.len());
    Ok(quote! {
        #[automatically_derived]
        impl #params ::unglue_frame::typed::FrameHeader for #name #arguments #clause {
            const NOTATION: &'static str = #notation;
            const NAMES: &'static [&'static str] = &[#(#names),*];
            type Fields = [u64; #len];

            #[inline]
            fn from_fields(fields: &[u64]) -> ::core::result::Result<Self, ::unglue_frame::typed::TypedError> {
                ::unglue_frame::typed::check_count(fields, #len)?;
                ::core::result::Result::Ok(Self { #(#read),* })
            }

            #[inline]
            fn to_fields(&self) -> [u64; #len] {
                [#(#write),*]
            }
        }
    })
}

/// A struct with the data too.
fn message(
    input: &DeriveInput,
    notation: &LitStr,
    mapped: &Mapped<'_>,
    (data, data_type): &(Member, &Type),
    order: &[usize],
) -> Result<TokenStream> {
    let Parts { names, read, write } = Parts::of(mapped, order);
    let borrowed = Borrowed::of(input)?;
    let life = &borrowed.lifetime;
    let what = quote!(::unglue_frame::typed::FrameMessage<#life>);
    let head = borrowed.head(input, &what, &quote!(::unglue_frame::typed::FrameData<#life>), &[data_type]);
    let len = names.len();
    Ok(quote! {
        #[automatically_derived]
        #head {
            const NOTATION: &'static str = #notation;
            const NAMES: &'static [&'static str] = &[#(#names),*];
            type Fields = [u64; #len];

            #[inline]
            fn from_parts(
                fields: &[u64],
                data: &#life [u8],
            ) -> ::core::result::Result<Self, ::unglue_frame::typed::TypedError> {
                ::unglue_frame::typed::check_count(fields, #len)?;
                ::core::result::Result::Ok(Self {
                    #(#read,)*
                    #data: ::unglue_frame::typed::read_data::<#data_type>(data)?,
                })
            }

            #[inline]
            fn to_fields(&self) -> [u64; #len] {
                [#(#write),*]
            }

            #[inline]
            fn data(&self) -> &[u8] {
                ::unglue_frame::typed::FrameData::as_data(&self.#data)
            }
        }
    })
}

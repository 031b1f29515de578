//! The struct that a macro is given: its fields, its lifetime, its attribute.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Generics, Lifetime, LitStr, Member, Result, Type};

/// The fields of a struct, named or numbered, in order.
pub(crate) fn of(input: &DeriveInput) -> Result<Vec<(Member, &Field)>> {
    let fields = match &input.data {
        Data::Struct(data) => &data.fields,
        Data::Enum(data) => return Err(Error::new(data.enum_token.span, "only a struct can be mapped, not an enum")),
        Data::Union(data) => return Err(Error::new(data.union_token.span, "only a struct can be mapped, not a union")),
    };
    if let Fields::Unit = fields {
        return Err(Error::new_spanned(&input.ident, "this struct has no fields to map"));
    }
    let member = |(index, field): (usize, &Field)| field.ident.clone().map_or(Member::from(index), Member::Named);
    Ok(fields.iter().enumerate().map(|numbered| (member(numbered), numbered.1)).collect())
}

/// The text of the struct's attribute of this name, as in `#[frame("u32be")]`.
pub(crate) fn text(input: &DeriveInput, name: &str) -> Result<Option<LitStr>> {
    let mut found = None;
    for attribute in named(&input.attrs, name) {
        if found.replace(attribute.parse_args::<LitStr>()?).is_some() {
            return Err(Error::new_spanned(attribute, format!("#[{name}(…)] stands here twice: keep one")));
        }
    }
    Ok(found)
}

/// The attributes of this name.
pub(crate) fn named<'a>(attributes: &'a [Attribute], name: &'a str) -> impl Iterator<Item = &'a Attribute> {
    attributes.iter().filter(move |attribute| attribute.path().is_ident(name))
}

/// The lifetime of the bytes that the struct borrows, and the generics of an impl that has it.
pub(crate) struct Borrowed {
    pub(crate) lifetime: Lifetime,
    pub(crate) generics: Generics,
}

impl Borrowed {
    /// The struct's own lifetime, or one that the impl adds.
    pub(crate) fn of(input: &DeriveInput) -> Result<Borrowed> {
        let mut generics = input.generics.clone();
        let lifetimes: Vec<Lifetime> = generics.lifetimes().map(|param| param.lifetime.clone()).collect();
        match &lifetimes[..] {
            [] => {
                let lifetime = Lifetime::new("'unglue", Span::call_site());
                generics.params.insert(0, syn::parse_quote!(#lifetime));
                Ok(Borrowed { lifetime, generics })
            }
            [only] => Ok(Borrowed { lifetime: only.clone(), generics }),
            [_, second, ..] => {
                Err(Error::new_spanned(second, "all fields borrow from the same bytes: one lifetime is possible"))
            }
        }
    }

    /// The header of an impl of `what`, with a bound on each field's type where the struct is generic.
    pub(crate) fn head(
        &self,
        input: &DeriveInput,
        what: &TokenStream,
        bound: &TokenStream,
        types: &[&Type],
    ) -> TokenStream {
        let mut generics = self.generics.clone();
        if input.generics.type_params().next().is_some() {
            let clause = generics.make_where_clause();
            clause.predicates.extend(types.iter().map(|ty| -> syn::WherePredicate { syn::parse_quote!(#ty: #bound) }));
        }
        let (params, _, clause) = generics.split_for_impl();
        let (_, arguments, _) = input.generics.split_for_impl();
        let name = &input.ident;
        quote!(impl #params #what for #name #arguments #clause)
    }
}

//! Rows of a result.

use std::rc::Rc;

use super::{Column, Error, FromSql, Value};
use crate::host::SqlCursor;

/// How many rows to ask the host for at a time. It may send fewer, so that they fit in memory.
const PORTION: u32 = 1_000;

/// The rows of a statement. Other statements can run while they are read.
#[derive(Debug)]
#[must_use = "rows are read with `all`, `one`, `first` or as an iterator"]
pub struct Rows {
    cursor: SqlCursor,
    columns: Rc<[Column]>,
    portion: std::vec::IntoIter<Vec<Value>>,
    is_over: bool,
}

impl Rows {
    pub(crate) fn new(cursor: SqlCursor) -> Rows {
        let columns = cursor.columns().into();
        Rows { cursor, columns, portion: Vec::new().into_iter(), is_over: false }
    }

    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// All rows. They are in the plugin's memory then; iterate over large results instead.
    ///
    /// # Errors
    ///
    /// Fails if a row cannot be read, or is not of this type.
    pub fn all<T: FromRow>(self) -> Result<Vec<T>, Error> {
        self.map(|row| row.and_then(|row| T::from_row(&row))).collect()
    }

    /// The only row.
    ///
    /// # Errors
    ///
    /// Fails if there is none or more than one, or if it is not of this type.
    pub fn one<T: FromRow>(mut self) -> Result<T, Error> {
        let row =
            self.next().ok_or_else(|| Error::conversion("the statement returned no row, and one was wanted"))??;
        if self.next().transpose()?.is_some() {
            return Err(Error::conversion("the statement returned several rows, and one was wanted"));
        }
        T::from_row(&row)
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read, or is not of this type.
    pub fn first<T: FromRow>(mut self) -> Result<Option<T>, Error> {
        self.next().transpose()?.map(|row| T::from_row(&row)).transpose()
    }
}

impl Iterator for Rows {
    type Item = Result<Row, Error>;

    fn next(&mut self) -> Option<Result<Row, Error>> {
        if self.portion.len() == 0 && !self.is_over {
            match self.cursor.next(PORTION) {
                Ok(rows) => {
                    self.is_over = rows.is_empty();
                    self.portion = rows.into_iter();
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
        let values = self.portion.next()?;
        Some(Ok(Row { columns: Rc::clone(&self.columns), values }))
    }
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    columns: Rc<[Column]>,
    values: Vec<Value>,
}

impl Row {
    /// The value of a column, by its name.
    ///
    /// # Errors
    ///
    /// Fails if there is no such column, or its value is not of this type.
    pub fn get<T: FromSql>(&self, name: &str) -> Result<T, Error> {
        let place = self.columns.iter().position(|column| column.name == name);
        self.at(place.ok_or_else(|| Error::conversion(format!("the result has no column {name:?}")))?)
    }

    /// The value of a column, by its place, from 0.
    ///
    /// # Errors
    ///
    /// Fails if there is no such column, or its value is not of this type.
    pub fn at<T: FromSql>(&self, place: usize) -> Result<T, Error> {
        let (Some(column), Some(value)) = (self.columns.get(place), self.values.get(place)) else {
            return Err(Error::conversion(format!("the result has no column {place}")));
        };
        T::from_sql(value.clone()).ok_or_else(|| {
            let (wanted, shown) = (std::any::type_name::<T>(), &column.type_name);
            Error::conversion(format!("column {:?} ({shown}) cannot be read as {wanted}: it is {value:?}", column.name))
        })
    }
}

/// What a row can be read as: a tuple of its columns, or a type of yours.
pub trait FromRow: Sized {
    /// # Errors
    ///
    /// Fails if the row is not of this type.
    fn from_row(row: &Row) -> Result<Self, Error>;
}

impl FromRow for Row {
    fn from_row(row: &Row) -> Result<Row, Error> {
        Ok(row.clone())
    }
}

macro_rules! tuples {
    ($($($ty:ident $place:tt),+;)*) => {$(
        impl<$($ty: FromSql),+> FromRow for ($($ty,)+) {
            fn from_row(row: &Row) -> Result<Self, Error> {
                Ok(($(row.at::<$ty>($place)?,)+))
            }
        }
    )*};
}

tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
    A 0, B 1, C 2, D 3, E 4, F 5;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6;
    A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7;
}

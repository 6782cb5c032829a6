"""What the suite may ask of each engine: all but what is named here, which the engine, or SQLAlchemy's dialect of it, cannot.

Names are those of sqlalchemy.testing.requirements. The same holds for the built-in dialect and for ours.
"""

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements

CANNOT = {
    # None of them; or what says how others do it.
    "": """
        computed_columns_default_persisted denormalized_names fetch_percent float_is_numeric json_deserializer_binary
        legacy_unconditional_json_extract materialized_views_reflect_pk nvarchar_types sequences_in_other_clauses
        time_timezone update_returning_dialect_not_supported
    """,
    "sqlite": """
        array_type cast_precision_numerics_many_significant_digits comment_reflection comment_reflection_full_unicode
        constraint_comment_reflection create_or_replace_view ctes_with_update_delete
        ctes_with_values date_implicit_bound datetime_implicit_bound datetime_interval datetime_literals datetime_timezone
        datetime_timezone_historic default_schema_name_switch delete_from empty_inserts empty_inserts_executemany
        fetch_expression fetch_first fetch_no_order_by fetch_offset_with_options fetch_ties foreign_keys
        foreign_keys_reflect_as_index identity_columns identity_columns_standard implicit_decimal_binds
        implicitly_named_constraints independent_connections index_reflects_included_columns indexes_check_column_order
        infinity_floats materialized_views mod_operator_as_percent_sign parens_in_union_contained_select_w_limit_offset
        parens_in_union_contained_select_wo_limit_offset precision_numerics_enotation_large
        precision_numerics_many_significant_digits precision_numerics_retains_significant_digits
        reflect_indexes_with_ascdesc_as_expression reflect_tables_no_columns regexp_replace schema_create_delete
        sequences sequences_optional sql_expression_limit_offset supports_bitwise_xor
        supports_distinct_on temp_table_comment_reflection time_implicit_bound timestamp_microseconds_implicit_bound
        unique_constraints_reflect_as_index unique_index_reflect_as_unique_constraints uuid_data_type window_range_non_numeric
    """,
    "postgresql": """
        autoincrement_without_sequence computed_columns_virtual dbapi_lastrowid empty_inserts_executemany
        foreign_keys_reflect_as_index implements_get_lastrowid mod_operator_as_percent_sign
        reflect_indexes_with_ascdesc_as_expression repeated_remote_col_foreign_keys sqlite
        unique_index_reflect_as_unique_constraints unusual_column_name_characters
    """,
    "mariadb": """
        array_type comment_reflection_full_unicode constraint_comment_reflection ctes_with_update_delete ctes_with_values
        date_implicit_bound datetime_implicit_bound datetime_interval datetime_microseconds datetime_timezone
        datetime_timezone_historic default_schema_name_switch empty_inserts_executemany fetch_expression fetch_first
        fetch_no_order_by fetch_offset_with_options fetch_ties identity_columns identity_columns_standard
        index_reflects_included_columns indexes_with_expressions infinity_floats materialized_views
        precision_generic_float_type
        reflect_indexes_with_ascdesc reflect_indexes_with_ascdesc_as_expression reflect_indexes_with_expressions
        reflect_tables_no_columns regexp_replace repeated_column_foreign_keys repeated_remote_col_foreign_keys
        schema_create_delete sql_expression_limit_offset sqlite supports_bitwise_xor supports_distinct_on
        supports_is_distinct_from temp_table_comment_reflection temp_table_names temporary_views time_implicit_bound
        time_microseconds timestamp_microseconds timestamp_microseconds_implicit_bound unbounded_varchar update_returning
        window_range_non_numeric
    """,
}


class Requirements(SuiteRequirements):
    """The table above, as SQLAlchemy asks for it."""

    def __getattribute__(self, name):
        value = super().__getattribute__(name)
        if not isinstance(value, exclusions.compound):
            return value
        engines = [engine for engine, names in CANNOT.items() if name in names.split()]
        if "" in engines:
            return exclusions.closed()
        return exclusions.skip_if(engines, f"{name} is nothing of this engine") if engines else exclusions.open()

    def get_order_by_collation(self, config):
        return {"sqlite": "NOCASE", "postgresql": "POSIX", "mariadb": "utf8mb4_bin"}[config.db.name]

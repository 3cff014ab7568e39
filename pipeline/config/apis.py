"""Settings of the processes with an API for commands: control and customers."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator, model_validator

from pipeline.config.section import Section

CONSOLE = "the console's token: with it alone a request may name the person who acts (X-Earshot-Actor)"
SHORTEST = 16


class ApiSettings(Section):
    """What both have."""

    host: str
    port: int
    tokens: dict[str, SecretStr]
    token: SecretStr
    console_token: SecretStr = Field(SecretStr(""), description=CONSOLE)

    @field_validator("tokens", check_fields=False)
    @classmethod
    def _distinct(cls, tokens: dict[str, SecretStr]) -> dict[str, SecretStr]:
        values = [token.get_secret_value() for token in tokens.values()]
        if len(set(values)) < len(values) or any(len(value) < SHORTEST for value in values):
            raise ValueError(f"each actor has a token of its own, of {SHORTEST} characters or more")
        return tokens

    @model_validator(mode="after")
    def _nobody_elses(self) -> ApiSettings:
        token, others = self.console_token.get_secret_value(), [*self.tokens.values(), self.token]
        if token and (len(token) < SHORTEST or token in {each.get_secret_value() for each in others}):
            raise ValueError(f"console_token is a token of its own, of {SHORTEST} characters or more: it speaks for anybody")
        return self


class ControlSettings(ApiSettings):
    host: str = Field("127.0.0.1", description="address that the control API listens on")
    port: int = Field(9401, ge=0, le=65535, description="its port; 0: any that is free")
    tokens: dict[str, SecretStr] = Field({}, description="people who may acknowledge and silence: name and token")
    token: SecretStr = Field(SecretStr(""), description="the token that `earshot alerts` sends")


class CustomersSettings(ApiSettings):
    host: str = Field("127.0.0.1", description="address that the customers API listens on")
    port: int = Field(9402, ge=0, le=65535, description="its port; 0: any that is free")
    tokens: dict[str, SecretStr] = Field({}, description="people who may link, split and apply rules: name and token")
    token: SecretStr = Field(SecretStr(""), description="the token that `earshot identity` sends")

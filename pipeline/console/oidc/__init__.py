"""Login by OpenID Connect: the provider says who somebody is and in which groups, the settings which roles these have.

login.py: begin -> the provider's page, in the browser -> login.py: finish
                                                           |-- waiting.py    the login that this browser began
                                                           |-- provider.py   code against id token; keys
                                                           '-- id_token.py   who it says, and that it may be believed
"""

"""The library page of `serve`: what a person with a browser sees and does, through the same rules.

Pages are made on the server and work without JavaScript. What a page changes, it changes by calling
the handlers of the API with the visitor as the caller, so that there is one set of rules. Nothing
here is imported by the service that runs inside of a command.
"""
